"""`reports.csv`: the table that all commands read, one row an image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.atomic import write_atomically

REPORTS_FILE: Final = "reports.csv"
SPLITS: Final = ("train", "val", "test")
VIEWS: Final = ("pa", "ap", "frontal", "lateral", "other")
"""Projections: `frontal` where PA and AP aren't told apart; `other` are oblique ones, ribs and so on."""
MOST_CHARACTERS: Final = 100_000
"""Longest text of a field; csv reads back 131,072."""


@dataclass(frozen=True)
class CorpusRow:
    """One image with the report of its study, or one study without image.

    `image_id` is empty where the study has no image, `image_path` where the image's file is missing.
    `image_path` is relative to the corpus folder when the file lies inside it, else absolute. `mesh` holds
    the headings joined by `;`. `split` is `train`, `val`, `test`, or empty: unused. `patient_id` is empty
    where patients aren't known; `view` is one of `VIEWS`, or empty where it isn't known.
    """

    study_id: str
    image_id: str
    image_path: str
    findings: str
    impression: str
    indication: str
    comparison: str
    mesh: str
    split: str
    patient_id: str = ""
    view: str = ""

    def __post_init__(self) -> None:
        if self.split not in (*SPLITS, ""):
            raise InputError(
                f"split {self.split!r} of study {self.study_id!r} must be train, val, test or empty"
            )
        if self.view not in (*VIEWS, ""):
            raise InputError(
                f"view {self.view!r} of image {self.image_id!r} must be {', '.join(VIEWS)} or empty"
            )


COLUMNS: Final = tuple(field.name for field in fields(CorpusRow))
_COLUMNS_BEFORE: Final = COLUMNS[: COLUMNS.index("patient_id")]
"""The columns of tables that earlier versions wrote; the others are then empty."""


@dataclass(frozen=True)
class Corpus:
    """The rows of `reports.csv` and the folder `root` that it lies in."""

    root: Path
    rows: tuple[CorpusRow, ...]

    def split(self, name: str) -> tuple[CorpusRow, ...]:
        """The rows of one split, in the order of the table; `all` gives train, val and test.

        Raises InputError when there is no such split.
        """
        if name == "all":
            return tuple(row for row in self.rows if row.split)
        if name not in SPLITS:
            raise InputError(f"no split {name!r}; choose one of {', '.join(SPLITS)} or all")
        return tuple(row for row in self.rows if row.split == name)

    def image_file(self, row: CorpusRow) -> Path:
        """The file of a row's image. Raises InputError when the table has none."""
        if not row.image_path:
            what = f"image {row.image_id!r}" if row.image_id else f"study {row.study_id!r}"
            raise InputError(
                f"{what} has no image file in {self.root / REPORTS_FILE}; "
                "get the images and make the corpus again"
            )
        return self.root / row.image_path


def read_reports(directory: Path) -> Corpus:
    """Read `reports.csv` in `directory`.

    Raises InputError when it is absent, has other columns, or a row has a wrong number of fields or split.
    """
    path = Path(directory) / REPORTS_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            text = file.read()
    except FileNotFoundError:
        raise InputError(f"no {REPORTS_FILE} in {directory}: make it with `cxrscribe corpus`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}); make it again with `cxrscribe corpus`") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[CorpusRow] = []
    try:
        header = next(reader, [])
        if tuple(header) not in (COLUMNS, _COLUMNS_BEFORE):
            raise InputError(f"columns are {', '.join(header) or 'none'} instead of {', '.join(COLUMNS)}")
        for values in reader:
            if len(values) != len(header):
                raise InputError(f"{len(values)} fields instead of {len(header)}")
            rows.append(CorpusRow(*values))
    except (csv.Error, InputError) as error:
        raise InputError(
            f"{path}, line {max(reader.line_num, 1)}: {error}. Make it with `cxrscribe corpus`"
        ) from None
    return Corpus(Path(directory), tuple(rows))


def write_reports(directory: Path, rows: Iterable[CorpusRow]) -> Path:
    """Write `reports.csv` (UTF-8, `\\n`) into `directory`, whole or not at all; returns its path."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(astuple(row) for row in rows)
    path = Path(directory) / REPORTS_FILE
    write_atomically(path, buffer.getvalue().encode("utf-8"))
    return path
