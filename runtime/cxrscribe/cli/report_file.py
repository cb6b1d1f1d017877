"""The file that `cxrscribe report --out` fills row by row, and goes on with after an interruption."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from cxrscribe.cli.report_row import CSV_COLUMNS, ReportRow
from cxrscribe.errors import InputError


class Existing(Enum):
    """What to do where the file is already there."""

    REFUSE = "refuse"
    OVERWRITE = "overwrite"
    RESUME = "resume"


class ReportFile(ABC):
    """Rows on disk. A row is whole once `write` returns, whatever happens later.

    `done` holds the films that the file had before. A row cut short by an interruption is removed.
    Raises InputError when the file is there and may not be, is not such a file, or can't be written.
    """

    def __init__(self, path: Path, existing: Existing) -> None:
        self.path = path
        self.done: frozenset[str] = frozenset()
        is_there = path.exists()
        if is_there and existing is Existing.REFUSE:
            raise InputError(f"{path} exists; give --resume to go on with it, --overwrite to replace it")
        try:
            if is_there and existing is Existing.RESUME:
                self._file: BinaryIO = path.open("r+b")
                self._take_up()
            else:
                self._file = path.open("wb")
                self._file.write(self.header())
                self._file.flush()
        except OSError as error:
            raise InputError(f"{path} can't be written ({error.strerror}); check folder and rights") from None

    @abstractmethod
    def header(self) -> bytes:
        """What the file starts with."""

    @abstractmethod
    def encoded(self, row: ReportRow) -> bytes:
        """A row, its line end included."""

    @abstractmethod
    def films(self, text: str) -> Iterator[str]:
        """The films of all rows in `text`. Raises ValueError when it holds anything else."""

    def write(self, row: ReportRow) -> None:
        """Append a row, and hand it to the system at once."""
        self._file.write(self.encoded(row))
        self._file.flush()

    def _take_up(self) -> None:
        """Read which films are done, remove a row without an end, and go to the end."""
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(self.header()) and self.header().startswith(content):
            whole = self.header()
        try:
            if not whole.startswith(self.header()):
                raise ValueError("its first line is another one")
            self.done = frozenset(self.films(whole.decode("utf-8", "surrogateescape")))
        except (ValueError, csv.Error) as error:
            self._file.close()
            raise InputError(
                f"{self.path} can't be resumed, for it is not what `cxrscribe report --out` writes "
                f"({error}); give another file"
            ) from None
        self._file.seek(0)
        self._file.write(whole)
        self._file.truncate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class JsonlReportFile(ReportFile):
    """One JSON object a line: `ReportRow.to_json`."""

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def encoded(self, row: ReportRow) -> bytes:
        """The object and a line feed."""
        return row.to_json_line().encode("ascii") + b"\n"

    def films(self, text: str) -> Iterator[str]:
        """The `film` of every line."""
        for number, line in enumerate(text.splitlines(), start=1):
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("film"), str):
                raise ValueError(f"line {number} names no film")
            yield row["film"]


class CsvReportFile(ReportFile):
    """RFC 4180, UTF-8, with the header `CSV_COLUMNS`."""

    def header(self) -> bytes:
        """The names of the columns."""
        return _csv_line(CSV_COLUMNS)

    def encoded(self, row: ReportRow) -> bytes:
        """The cells, quoted where necessary."""
        return _csv_line(row.to_csv())

    def films(self, text: str) -> Iterator[str]:
        """The first cell of every row but the header."""
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        next(rows)
        for number, row in enumerate(rows, start=2):
            if len(row) != len(CSV_COLUMNS):
                raise ValueError(f"row {number} has {len(row)} cells, not {len(CSV_COLUMNS)}")
            yield row[0]


_FORMATS: Final[dict[str, type[ReportFile]]] = {".jsonl": JsonlReportFile, ".csv": CsvReportFile}


def open_report_file(path: Path, existing: Existing) -> ReportFile:
    """Open `path` for the rows of a run, in the format that its suffix names. Raises InputError."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"--out {path}: unknown suffix {path.suffix!r}; give a name in {' or '.join(_FORMATS)}"
        )
    return kind(path, existing)


def _csv_line(cells: list[str] | tuple[str, ...]) -> bytes:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "surrogateescape")
