"""The file that `cxrscribe report --out` fills row by row, and goes on with after an interruption."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class EarlierRow:
    """What a row from before an interruption says."""

    film: str
    failed: bool


class ReportFile(ABC):
    """Rows on disk. A row is whole once `write` returns, whatever happens later.

    `earlier` holds what the rows say that the file had before. A row cut short by an interruption is removed.
    Raises InputError when the file is there and may not be, is not such a file, or can't be written.
    """

    def __init__(self, path: Path, existing: Existing) -> None:
        self.path = path
        self.earlier: tuple[EarlierRow, ...] = ()
        is_there = path.exists()
        if is_there and existing is Existing.REFUSE:
            raise InputError(f"{path} exists; give --resume to go on with it, --overwrite to replace it")
        resumes = is_there and existing is Existing.RESUME
        with self._writing():
            self._file: BinaryIO = path.open("r+b" if resumes else "wb")
        try:
            with self._writing():
                if not (resumes and self._take_up()):
                    self._file.write(self.header())
                    self._file.flush()
        except InputError:
            with suppress(OSError):
                self._file.close()
            raise

    @abstractmethod
    def header(self) -> bytes:
        """What the file starts with."""

    @abstractmethod
    def encoded(self, row: ReportRow) -> bytes:
        """A row, its line end included."""

    @abstractmethod
    def end_of_rows(self, content: bytes) -> int:
        """Where the last whole row of `content` ends."""

    @abstractmethod
    def rows(self, text: str) -> Iterator[EarlierRow]:
        """The rows in `text`, which starts with the header. Raises ValueError when it holds anything else."""

    def write(self, row: ReportRow) -> None:
        """Append a row, and hand it to the system at once. Raises InputError, when the disk is full say."""
        with self._writing():
            self._file.write(self.encoded(row))
            self._file.flush()

    def _take_up(self) -> int:
        """Read the rows that are there, remove what stands behind them, and go there; give where that is."""
        content = self._file.read()
        is_cut_header = len(content) < len(self.header()) and self.header().startswith(content)
        end = 0 if is_cut_header else self.end_of_rows(content)
        try:
            if not is_cut_header:
                self.earlier = tuple(self._earlier_rows(content[:end]))
        except (ValueError, csv.Error) as error:
            raise InputError(
                f"{self.path} can't be resumed, for it is not what `cxrscribe report --out` writes "
                f"({error}); give another file"
            ) from None
        self._file.truncate(end)
        return self._file.seek(end)

    def _earlier_rows(self, content: bytes) -> Iterator[EarlierRow]:
        if not content.startswith(self.header()):
            raise ValueError("its first line is another one")
        return self.rows(content.decode("utf-8", "surrogateescape"))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Say of which file it is that the system refuses something."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.path} can't be written ({error.strerror}); check its folder, rights and free room"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._writing():
            self._file.close()


class JsonlReportFile(ReportFile):
    """One JSON object a line: `ReportRow.to_json`."""

    def header(self) -> bytes:
        """Nothing."""
        return b""

    def encoded(self, row: ReportRow) -> bytes:
        """The object and a line feed."""
        return row.to_json_line().encode("ascii") + b"\n"

    def end_of_rows(self, content: bytes) -> int:
        """Behind the last line feed: there is none inside a row."""
        return content.rfind(b"\n") + 1

    def rows(self, text: str) -> Iterator[EarlierRow]:
        """`film` and `error` of every line."""
        for number, line in enumerate(text.splitlines(), start=1):
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("film"), str) or "error" not in row:
                raise ValueError(f"line {number} names no film, or not whether it failed")
            yield EarlierRow(row["film"], row["error"] is not None)


class CsvReportFile(ReportFile):
    """RFC 4180, UTF-8, with the header `CSV_COLUMNS`."""

    def header(self) -> bytes:
        """The names of the columns."""
        return _csv_line(CSV_COLUMNS)

    def encoded(self, row: ReportRow) -> bytes:
        """The cells, quoted where necessary."""
        return _csv_line(row.to_csv())

    def end_of_rows(self, content: bytes) -> int:
        """Behind the last CRLF outside quotes: a film's name may hold line ends too."""
        end = len(content)
        while (end := content.rfind(b"\r\n", 0, end)) >= 0:
            if content.count(b'"', 0, end) % 2 == 0:
                return end + 2
        return 0

    def rows(self, text: str) -> Iterator[EarlierRow]:
        """`film` and `error` of every row but the header."""
        rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        next(rows)
        for number, row in enumerate(rows, start=2):
            if len(row) != len(CSV_COLUMNS):
                raise ValueError(f"row {number} has {len(row)} cells, not {len(CSV_COLUMNS)}")
            film, error = row[:2]
            yield EarlierRow(film, error != "")


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
