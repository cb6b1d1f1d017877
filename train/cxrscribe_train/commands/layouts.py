"""`cxrscribe corpus csv`, `r2gen`, `kaggle-iu`, `mimic-cxr`, `chexpert-plus`, `padchest`: tables of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.errors import InputError
from cxrscribe_train.commands.split_options import SplitChoice, split_options

if TYPE_CHECKING:
    from cxrscribe_train.corpus.layouts.entry import Entries, LeftOut

Command: TypeAlias = Callable[..., Any]

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_PATH = click.Path(exists=True, path_type=Path)
_VIEWS = ("pa", "ap", "frontal", "lateral", "other", "unknown")
_NAMED_AT_MOST = 20


@dataclass(frozen=True)
class Order:
    """What the layouts have in common on the command line."""

    out: Path
    images: Path | None
    views: tuple[str, ...]
    split: SplitChoice
    seed: int | None
    as_json: bool

    def run(
        self,
        layout: str,
        source: Path,
        entries: Entries,
        folders: tuple[Path, ...],
        left_out: LeftOut | None = None,
    ) -> None:
        """Write the table, print the summary, name what is wrong. Exits 1 where a damaged row was skipped."""
        from cxrscribe_train.corpus.layouts.tabulation import ImagePlaces, tabulate

        summary = tabulate(
            layout,
            entries,
            ImagePlaces((self.images,) if self.images else folders),
            self.out,
            (lambda study_of: self.split.split(self.seed, study_of)) if self._asks_for_a_split() else None,
            tuple("" if view == "unknown" else view for view in self.views),
            left_out,
            source,
        )
        if self.as_json:
            say_json_text(summary.to_json().rstrip())
        else:
            say(*summary.to_table().split("\n"))
        if summary.reports_without_findings:
            note(
                f"{summary.reports_without_findings:,} reports have no FINDINGS: no heading begins them; "
                "docs/corpus.md says which ones do"
            )
        _tell("ids are in the split file more than once", summary.split_ids_repeated)
        _tell("ids are in the split file, but not in the corpus", summary.split_ids_unknown)
        _tell("patients are in more than one split", summary.patients_in_several_splits)
        for problem in summary.damaged[:_NAMED_AT_MOST]:
            note(f"skipped {problem}")
        if len(summary.damaged) > _NAMED_AT_MOST:
            more = len(summary.damaged) - _NAMED_AT_MOST
            note(f"skipped {more:,} more rows; {self.out / 'summary.json'} names all")
        if summary.damaged:
            click.get_current_context().exit(1)

    def _asks_for_a_split(self) -> bool:
        return self.split != SplitChoice() or self.seed is not None


def _layout(command: Command) -> Command:
    """Add the options that the layouts have in common; the command gets `order: Order`."""

    @functools.wraps(command)
    def packed(
        *,
        out: Path,
        images: Path | None,
        views: tuple[str, ...],
        split: SplitChoice,
        seed: int | None,
        as_json: bool,
        **others: Any,
    ) -> Any:
        return command(order=Order(out, images, views, split, seed, as_json), **others)

    options = (
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option(
            "--seed",
            type=int,
            metavar="N",
            help="Seed of the split by a hash of the patient or study id. [default: 0]",
        ),
        split_options,
        click.option(
            "--view",
            "views",
            type=click.Choice(_VIEWS),
            multiple=True,
            help="Only images with this view; may be repeated. [default: all]",
        ),
        click.option("--images", type=_FOLDER, help="Folder that the image paths are relative to."),
        click.option(
            "--out",
            type=click.Path(file_okay=False, path_type=Path),
            required=True,
            help="Folder for reports.csv and summary.json.",
        ),
    )
    with_options: Command = packed
    for option in options:
        with_options = option(with_options)
    return with_options


@click.command("csv")
@click.argument("table", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=HEADER",
    help="What a column is called in TABLE, such as findings=hallazgos; may be repeated.",
)
@click.option("--encoding", default="utf-8", show_default=True, help="Of TABLE; UTF-16 is known by its mark.")
@_layout
def csv_command(table: Path, columns: tuple[str, ...], encoding: str, order: Order) -> None:
    """Table a CSV or JSON-lines file of one's own, one row an image.

    Columns: study_id, and findings or report (one text with headings); where known image_path, image_id,
    patient_id, impression, indication, comparison, view, split, mesh.
    """
    from cxrscribe_train.corpus.layouts.csv_file import read_table

    order.run("csv", table, read_table(table, _headers(columns), encoding), (table.resolve().parent,))


@click.command()
@click.argument("annotation", type=_PATH)
@_layout
def r2gen(annotation: Path, order: Order) -> None:
    """Table R2Gen's annotation.json. ANNOTATION is that file or its folder."""
    from cxrscribe_train.corpus.layouts.r2gen import ANNOTATION_FILE, read_annotation

    file = _file(annotation, ANNOTATION_FILE)
    order.run("r2gen", file, read_annotation(file), (file.parent / "images", file.parent))


@click.command("kaggle-iu")
@click.argument("root", type=_FOLDER)
@_layout
def kaggle_iu(root: Path, order: Order) -> None:
    """Table Kaggle's copy of the Indiana collection. ROOT holds indiana_reports.csv."""
    from cxrscribe_train.corpus.layouts.entry import LeftOut
    from cxrscribe_train.corpus.layouts.kaggle_iu import IMAGE_FOLDERS, read_kaggle_iu

    left_out = LeftOut()
    folders = (*(root / name for name in IMAGE_FOLDERS), root / "images", root)
    order.run("kaggle-iu", root, read_kaggle_iu(root, left_out), folders, left_out)


@click.command("mimic-cxr")
@click.argument("root", type=_FOLDER)
@click.option(
    "--reports",
    type=_FOLDER,
    help="Folder that holds files/p10/...txt, where that isn't ROOT. [default: ROOT]",
)
@_layout
def mimic_cxr(root: Path, reports: Path | None, order: Order) -> None:
    """Table MIMIC-CXR or MIMIC-CXR-JPG. ROOT holds mimic-cxr-2.0.0-split.csv and files/."""
    from cxrscribe_train.corpus.layouts.entry import LeftOut
    from cxrscribe_train.corpus.layouts.mimic_cxr import read_mimic_cxr

    left_out = LeftOut()
    order.run("mimic-cxr", root, read_mimic_cxr(root, reports or root, left_out), (root,), left_out)


@click.command("chexpert-plus")
@click.argument("table", type=_PATH)
@_layout
def chexpert_plus(table: Path, order: Order) -> None:
    """Table CheXpert Plus. TABLE is df_chexpert_plus_240401.csv or its folder."""
    from cxrscribe_train.corpus.layouts.chexpert_plus import IMAGE_FOLDERS, TABLE_FILE, read_chexpert_plus

    file = _file(table, TABLE_FILE)
    folders = (file.parent, *(file.parent / name for name in IMAGE_FOLDERS))
    order.run("chexpert-plus", file, read_chexpert_plus(file), folders)


@click.command()
@click.argument("table", type=_PATH)
@_layout
def padchest(table: Path, order: Order) -> None:
    """Table PadChest. TABLE is its CSV file of labels or that file's folder."""
    from cxrscribe_train.corpus.layouts.padchest import TABLE_FILE, read_padchest

    file = _file(table, TABLE_FILE)
    order.run("padchest", file, read_padchest(file), (file.parent, file.parent / "images"))


LAYOUTS = (csv_command, r2gen, kaggle_iu, mimic_cxr, chexpert_plus, padchest)


def _file(path: Path, name: str) -> Path:
    """`path`, or the file of that name in it, gzipped or not. Raises InputError when the folder lacks it."""
    from cxrscribe_train.corpus.layouts.records import plain_or_gzipped

    if path.is_file():
        return path.resolve()
    found = plain_or_gzipped(path, name)
    if found is None:
        raise InputError(f"no {name} in {path}; give the file itself, or the folder that holds it")
    return found.resolve()


def _headers(columns: tuple[str, ...]) -> dict[str, str]:
    """`--column NAME=HEADER` as a mapping. Raises InputError for a column that doesn't exist."""
    from cxrscribe_train.corpus.layouts.csv_file import COLUMNS

    headers: dict[str, str] = {}
    for column in columns:
        name, equals, header = column.partition("=")
        if not equals or not header or name not in COLUMNS:
            raise InputError(f"--column {column!r} must be NAME=HEADER with a NAME of {', '.join(COLUMNS)}")
        headers[name] = header
    return headers


def _tell(what: str, names: tuple[str, ...]) -> None:
    if names:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        note(f"{len(names)} {what}: {listed}")
