"""The file that `cxrscribe report --out` fills row by row, and goes on with after an interruption."""

from __future__ import annotations

import csv
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cxrscribe.cli.output_file import OutputFile
from cxrscribe.cli.report_row import ReportRow, Row
from cxrscribe.csv_cells import csv_line, csv_rows
from cxrscribe.errors import InputError


class Existing(Enum):
    """What to do where the file is already there."""

    REFUSE = "refuse"
    OVERWRITE = "overwrite"
    RESUME = "resume"


@dataclass(frozen=True)
class EarlierRow:
    """What a row from before an interruption says."""

    film: str
    """Or study."""
    failed: bool
    left_out: bool = False
    """Whether the report was made without films of its study."""


class ReportFile(ABC):
    """Rows on disk. A row is whole once `write` returns, whatever becomes of this process later.

    `earlier` holds what the rows say that the file had before. A row cut short by an interruption is removed.
    Raises InputError when the file is there and may not be, is not such a file, is being written by another
    process, or can't be written.
    """

    def __init__(self, path: Path, existing: Existing, kind: type[Row]) -> None:
        self.path = path
        self.kind = kind
        """Of the rows."""
        self.earlier: tuple[EarlierRow, ...] = ()
        self._begun = False
        self._file = OutputFile(path, may_exist=existing is not Existing.REFUSE)
        try:
            self._end = self._take_up() if existing is Existing.RESUME else 0
            if existing is not Existing.OVERWRITE:
                self._begin()
        except InputError:
            with suppress(InputError):
                self._file.close()
            raise

    @abstractmethod
    def header(self) -> bytes:
        """What the file starts with."""

    @abstractmethod
    def encoded(self, row: Row) -> bytes:
        """A row, its line end included."""

    @abstractmethod
    def end_of_rows(self, content: bytes) -> int:
        """Where the last whole row of `content` ends."""

    @abstractmethod
    def rows(self, text: str) -> Iterator[EarlierRow]:
        """The rows in `text`, which starts with the header. Raises ValueError when it holds anything else."""

    def write(self, row: Row) -> None:
        """Append a row, and hand it to the system at once. Raises InputError, when the disk is full say."""
        self._begin()
        self._file.write(self.encoded(row))

    def _begin(self) -> None:
        """Let go what isn't kept of the file; all of it, not before there is a row, or there will be none."""
        if self._begun:
            return
        self._file.cut(self._end)
        if not self._end:
            self._file.write(self.header())
        self._begun = True

    def _take_up(self) -> int:
        """Read the rows that are there; where the last whole one ends, and 0 where the header isn't whole."""
        content = self._file.read()
        if len(content) < len(self.header()) and self.header().startswith(content):
            return 0
        end = self.end_of_rows(content)
        try:
            self.earlier = tuple(self._earlier_rows(content[:end]))
        except (ValueError, RecursionError, csv.Error) as error:
            raise InputError(
                f"{self.path} can't be resumed, for it is not what `cxrscribe report --out` writes "
                f"({error}); give another file"
            ) from None
        return end

    def _earlier_rows(self, content: bytes) -> Iterator[EarlierRow]:
        if not content.startswith(self.header()):
            raise ValueError("its first line is another one")
        return self.rows(content.decode("utf-8", "surrogateescape"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._begin()
        finally:
            self._file.close()


class JsonlReportFile(ReportFile):
    """One JSON object a line: `Row.to_json`."""

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def encoded(self, row: Row) -> bytes:
        """The object and a line feed."""
        return row.to_json_line().encode("ascii") + b"\n"

    def end_of_rows(self, content: bytes) -> int:
        """Behind the last line feed: there is none inside a row."""
        return content.rfind(b"\n") + 1

    def rows(self, text: str) -> Iterator[EarlierRow]:
        """What every line is of, and its `error`."""
        for number, line in enumerate(text.splitlines(), start=1):
            row = json.loads(line)
            name = self.kind.name_in(row) if isinstance(row, dict) else None
            if name is None or "error" not in row:
                raise ValueError(f"line {number} names no {self.kind.what}, or not whether it failed")
            yield EarlierRow(name, row["error"] is not None, bool(row.get("left_out")))


class CsvReportFile(ReportFile):
    """RFC 4180, UTF-8, with `Row.columns` as header; cells as `csv_cells` has them."""

    def header(self) -> bytes:
        """The names of the columns."""
        return csv_line(self.kind.columns)

    def encoded(self, row: Row) -> bytes:
        """The cells, quoted where necessary."""
        return csv_line(row.to_csv())

    def end_of_rows(self, content: bytes) -> int:
        """Behind the last CRLF outside quotes: earlier versions wrote names with line ends in them."""
        end, quotes = len(content), content.count(b'"')
        while (found := content.rfind(b"\r\n", 0, end)) >= 0:
            quotes -= content.count(b'"', found, end)
            if quotes % 2 == 0:
                return found + 2
            end = found
        return 0

    def rows(self, text: str) -> Iterator[EarlierRow]:
        """What every row but the header is of, and its `error`."""
        columns = self.kind.columns
        with csv_rows(text) as rows:
            next(rows)
            for number, row in enumerate(rows, start=2):
                if len(row) != len(columns):
                    raise ValueError(f"row {number} has {len(row)} cells, not {len(columns)}")
                name = self.kind.name_in_csv(row)
                if name is None:
                    raise ValueError(f"row {number} names no {self.kind.what}")
                left_out = "left_out" in columns and row[columns.index("left_out")] != "[]"
                yield EarlierRow(name, row[columns.index("error")] != "", left_out)


_FORMATS: Final[dict[str, type[ReportFile]]] = {".jsonl": JsonlReportFile, ".csv": CsvReportFile}


def open_report_file(path: Path, existing: Existing, kind: type[Row] = ReportRow) -> ReportFile:
    """Open `path` for rows of this kind, in the format that its suffix names. Raises InputError."""
    file = _FORMATS.get(path.suffix.lower())
    if file is None:
        raise InputError(
            f"--out {path}: unknown suffix {path.suffix!r}; give a name in {' or '.join(_FORMATS)}"
        )
    return file(path, existing, kind)
