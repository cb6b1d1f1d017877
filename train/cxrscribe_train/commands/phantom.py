"""`cxrscribe corpus phantom`: a corpus of drawn chest films."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from cxrscribe.cli.terminal import note, say, say_json
from cxrscribe.errors import InputError
from cxrscribe.sessions.device import usable_threads
from cxrscribe_train.commands.split_options import SplitChoice, split_options


@click.command()
@click.option("--studies", type=click.IntRange(min=1), help="How many; with --from-mesh the default is all.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed, the same phantoms.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder of the corpus; what an interrupted run left there is kept.",
)
@click.option(
    "--from-mesh",
    type=click.Path(exists=True, path_type=Path),
    metavar="NLMCXR_ROOT",
    help="Draw films for each real report with FINDINGS, after its headings, and keep its text.",
)
@click.option(
    "--views",
    type=click.IntRange(1, 9),
    default=1,
    show_default=True,
    help="Films a study: each is another frontal drawing of the same findings.",
)
@split_options
@click.option("--workers", type=click.IntRange(min=1), help="Processes that draw; default: one a core.")
@click.option(
    "--contact-sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.png",
    help="Also write a picture of the first 24 films, with the names of their findings.",
)
@click.option("--columns", type=click.IntRange(min=1), help="Films a row of --contact-sheet. [default: 6]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def phantom(
    context: click.Context,
    studies: int | None,
    seed: int,
    out: Path,
    from_mesh: Path | None,
    views: int,
    split: SplitChoice,
    workers: int | None,
    contact_sheet: Path | None,
    columns: int | None,
    as_json: bool,
) -> None:
    """Draw chest films with their reports, in the format of the Indiana collection.

    Phantoms are for demos, tests and benchmarks. A model trained on them knows nothing about patients.
    Exits 1 when a malformed real report was skipped.
    """
    from cxrscribe_train.corpus.summary import SUMMARY_FILE
    from cxrscribe_train.phantom.contact_sheet import write_contact_sheet
    from cxrscribe_train.phantom.corpus import mesh_corpus, sampled_corpus, write_films, write_tables

    if columns is not None and contact_sheet is None:
        raise InputError("--columns is for --contact-sheet; give --contact-sheet FILE.png too")
    if contact_sheet is not None and contact_sheet.suffix.lower() != ".png":
        raise InputError(f"--contact-sheet {contact_sheet} is not a .png file; give it that ending")
    chosen = split.split()
    if from_mesh is not None:
        planned = mesh_corpus(from_mesh, seed, studies, views)
    elif studies is not None:
        planned = sampled_corpus(studies, seed, views)
    else:
        raise InputError(
            "say how many phantoms to draw with --studies, or give real reports with --from-mesh"
        )
    films = write_films(planned, out, workers or usable_threads())
    label = "films" if views == 1 else "studies"
    with click.progressbar(
        films, length=len(planned.recipes), label=label, file=sys.stderr, update_min_steps=8
    ) as bar:
        for _ in bar:
            pass
    summary, coverage = write_tables(planned, out, chosen)
    if contact_sheet is not None:
        write_contact_sheet(planned, out, contact_sheet, columns or 6)
    if as_json:
        say_json(json.loads((out / SUMMARY_FILE).read_text(encoding="utf-8")), indent=2)
    else:
        say(*summary.to_table().split("\n"))
        say(*coverage.to_table().split("\n"))
    for problem in planned.malformed:
        note(f"skipped {problem}")
    if planned.malformed:
        context.exit(1)
