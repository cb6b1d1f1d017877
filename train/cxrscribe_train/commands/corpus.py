"""`cxrscribe corpus`: report corpora, downloaded, tabled or drawn."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from cxrscribe.cli.terminal import note, say, say_json, say_json_text
from cxrscribe.errors import InputError
from cxrscribe_train.commands.layouts import LAYOUTS
from cxrscribe_train.commands.phantom import phantom
from cxrscribe_train.commands.split_options import SplitChoice, split_options

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.group()
def corpus() -> None:
    """Make a report corpus: download it, table it, or draw one."""


corpus.add_command(phantom)
for layout in LAYOUTS:
    corpus.add_command(layout)


@corpus.command()
@click.argument("root", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=_DIRECTORY, required=True, help="Folder for reports.csv and summary.json.")
@click.option("--images", type=_DIRECTORY, help="Folder of <image id>.png; default: ROOT and ROOT/images.")
@split_options
@click.option(
    "--seed", type=int, metavar="N", help="Seed of the split by a hash of the study id. [default: 0]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def nlmcxr(
    context: click.Context,
    root: Path,
    out: Path,
    images: Path | None,
    split: SplitChoice,
    seed: int | None,
    as_json: bool,
) -> None:
    """Table the Indiana collection, or a corpus in its format.

    ROOT is the folder that holds ecgen-radiology/*.xml, that folder itself, or NLMCXR_reports.tgz.
    Writes reports.csv, one row an image, and summary.json. Exits 1 when a malformed file was skipped.
    """
    from cxrscribe_train.corpus.nlmcxr import tabulate

    summary = tabulate(root, out, images, split.split(seed))
    if as_json:
        say_json_text(summary.to_json().rstrip())
    else:
        say(*summary.to_table().split("\n"))
    _tell("in the split file more than once", summary.split_ids_repeated)
    _tell("in the split file, but not in the corpus", summary.split_ids_unknown)
    for problem in summary.malformed:
        note(f"skipped {problem}")
    if summary.malformed:
        context.exit(1)


@corpus.group()
def fetch() -> None:
    """Download a public collection."""


@fetch.command("nlmcxr")
@click.option(
    "--out", type=_DIRECTORY, default=Path("nlmcxr"), show_default=True, help="Folder for the archives."
)
@click.option(
    "--what",
    type=click.Choice(["reports", "images", "all"]),
    default="reports",
    show_default=True,
    help="Which archive.",
)
@click.option(
    "--sha256", multiple=True, metavar="HEX", help="Expected SHA-256, once for each archive, in their order."
)
@click.option("--url", metavar="URL", help="Another address of the one archive asked for.")
@click.option("--json", "as_json", is_flag=True, help="Print what was fetched as JSON.")
def fetch_nlmcxr(out: Path, what: str, sha256: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Download the Indiana collection from Open-i.

    The reports are 1 MB, the images 1.4 GB. A download that was cut goes on where it stopped. The
    collection's licence is CC BY-NC-ND 4.0.
    """
    from cxrscribe_train.corpus.fetch import NLMCXR_URLS

    addresses = [NLMCXR_URLS[name] for name in (NLMCXR_URLS if what == "all" else [what])]
    names = [address.rpartition("/")[2] for address in addresses]
    if url is not None:
        if len(addresses) > 1:
            raise InputError("--url is the address of one archive; choose --what reports or --what images")
        addresses = [url]
    if sha256 and len(sha256) != len(addresses):
        raise InputError(
            f"{len(sha256)} times --sha256 for {len(addresses)} archives ({', '.join(names)}); give one each"
        )
    checksums: tuple[str | None, ...] = sha256 or (None,) * len(addresses)
    fetched = [_fetch_one(*one, out) for one in zip(addresses, names, checksums, strict=True)]
    if as_json:
        say_json(fetched, indent=2)


def _fetch_one(url: str, name: str, sha256: str | None, out: Path) -> dict[str, object]:
    """Fetch with a progress bar; say on stderr what the file was verified against."""
    from cxrscribe_train.corpus.fetch import fetch as fetch_file

    with click.progressbar(length=0, label=name, file=sys.stderr) as bar:

        def show(done: int, size: int | None) -> None:
            bar.length = size
            bar.update(done - bar.pos)

        fetched = fetch_file(url, out / name, sha256=sha256, progress=show, note=_note)
    state = "downloaded" if fetched.downloaded else "already there"
    note(f"{fetched.path}: {state}, {fetched.size:,} bytes, sha256 {fetched.sha256}")
    note(f"verified against {fetched.trust}")
    return {**asdict(fetched), "path": str(fetched.path)}


def _note(text: str) -> None:
    note(text)


def _tell(what: str, ids: tuple[str, ...]) -> None:
    if ids:
        listed = ", ".join(ids[:10]) + (", ..." if len(ids) > 10 else "")
        note(f"{len(ids)} ids are {what}: {listed}")
