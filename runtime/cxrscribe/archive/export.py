"""The rows of a run for people and other programs: in one file, or a few large ones, each film's newest."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias

from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.rows.part import SUFFIXES, part_header
from cxrscribe.archive.rows.row import Row
from cxrscribe.archive.run import Run
from cxrscribe.arguments import path as checked_path
from cxrscribe.arguments import whole_number
from cxrscribe.csv_cells import csv_line
from cxrscribe.errors import InputError

COMPACT_ROWS: Final = 250_000
CSV_COLUMNS: Final = (
    "film",
    "status",
    "reason",
    "message",
    "text",
    "log_prob",
    "score",
    "finished",
    "alternatives",
    "content_sha256",
    "disclaimer",
)

_COMPACTION: Final = "compact.json"
_ROWS_AT_ONCE: Final = 10_000
_PRIVATE_FILE: Final = 0o600


class RowWriter(Protocol):
    """Writes rows into a file that is open."""

    def write(self, row: Row) -> None:
        """Add a row."""

    def close(self) -> None:
        """Write what is still to be written, but don't close the file."""


OpenWriter: TypeAlias = Callable[[BinaryIO, Run], RowWriter]


def export(run: Run, path: Path, *, overwrite: bool = False) -> int:
    """Write all rows that there are into one file: .csv, .jsonl, .jsonl.gz or .parquet; how many there were.

    The file appears whole, and is its owner's alone. In a CSV file `alternatives` is a JSON array of texts.
    Raises InputError when the suffix is another one, the file is there, or can't be written;
    MissingExtraError.
    """
    path = checked_path("path", path)
    kind = next((kind for kind in _WRITERS if path.name.lower().endswith(kind)), None)
    if kind is None:
        raise InputError(f"{path}: unknown suffix; give a name in {', '.join(_WRITERS)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; give another name, or --overwrite to replace it")
    return _write(run, (row for _, row in newest_rows(run)), path, _WRITERS[kind])


def compact(run: Run, folder: Path, rows: int = COMPACT_ROWS) -> list[Path]:
    """Write all rows into files of so many each, in the format of the run's parts, into a folder; the files.

    A file that is there is left as it is, so that an interrupted compaction can be gone on with:
    `compact.json` says of what it is. Raises InputError when films are missing, for files that are there
    would be left without them, when the folder has files of another compaction, or is that of the run.
    """
    folder = checked_path("folder", folder)
    rows = whole_number("rows", rows, 1)
    if any(generation.missing() for generation in run.generations()):
        raise InputError(
            f"{run.place.url} isn't done; compact it once it is, or use `cxrscribe score export`"
        )
    if run.place.holds(folder):
        raise InputError(f"{folder} is in the folder of the run; give another one")
    suffix = SUFFIXES[run.identity.format]
    _begin_compaction(run, folder, rows, suffix)
    left = (row for _, row in newest_rows(run))
    written: list[Path] = []
    while (first := next(left, None)) is not None:
        path = folder / f"rows-{len(written):06}{suffix}"
        each = chain([first], islice(left, rows - 1))
        if path.exists():
            for _ in each:
                pass
        else:
            _write(run, each, path, _WRITERS[suffix])
        written.append(path)
    return written


def _begin_compaction(run: Run, folder: Path, rows: int, suffix: str) -> None:
    """Say in a folder of what its files are. Raises InputError where they are of something else."""
    parts = hashlib.sha256()
    for generation in run.generations():
        for name in generation.done().values():
            parts.update(f"{name} {part_header(run.place, name).rows_sha256}\n".encode("ascii"))
    document = {"run": run.run_id, "rows": rows, "parts": parts.hexdigest()}
    path = folder / _COMPACTION
    try:
        known = json.loads(path.read_text(encoding="ascii")) if path.exists() else None
    except (OSError, ValueError):
        known = {}
    if known == document:
        return
    if known is not None or any(folder.glob(f"rows-*{suffix}")):
        raise InputError(
            f"{folder} has the files of another run, of other --rows, or of before a retry; give another "
            "--out"
        )
    with _appearing(path) as file:
        file.write(json.dumps(document).encode("ascii"))


def _write(run: Run, rows: Iterator[Row], path: Path, opened: OpenWriter) -> int:
    count = 0
    with _appearing(path) as file:
        writer = opened(file, run)
        for row in rows:
            writer.write(row)
            count += 1
        writer.close()
    return count


@contextmanager
def _appearing(path: Path) -> Iterator[BinaryIO]:
    """A file that is called `path` once it is whole."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path} can't be written ({error.strerror or error}); free some room") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


class _Csv:
    """A RowWriter for `csv_line`."""

    def __init__(self, file: BinaryIO, run: Run) -> None:
        self._file = file
        self._tells = bool(run.identity.indications)
        told = ["indication"] if self._tells else []
        file.write(csv_line([*CSV_COLUMNS[:-1], *told, CSV_COLUMNS[-1]]))

    def write(self, row: Row) -> None:
        report = row.report
        cells = (
            row.film,
            row.status,
            row.reason,
            row.message,
            report.text if report else None,
            report.log_prob if report else None,
            report.score if report else None,
            report.finished if report else None,
            [each.text for each in report.alternatives] if report else None,
            row.content_sha256.hex() if row.content_sha256 else None,
            *([row.indication] if self._tells else []),
            row.disclaimer,
        )
        self._file.write(csv_line(cells))

    def close(self) -> None:
        self._file.flush()


class _Lines:
    """A RowWriter for one JSON object a line."""

    def __init__(self, file: BinaryIO, run: Run) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        self._file.write(row.to_json_line().encode("ascii") + b"\n")

    def close(self) -> None:
        self._file.flush()


class _GzippedLines:
    """A RowWriter for gzip of one JSON object a line."""

    def __init__(self, file: BinaryIO, run: Run) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)

    def write(self, row: Row) -> None:
        self._packed.write(row.to_json_line().encode("ascii") + b"\n")

    def close(self) -> None:
        self._packed.close()


class _Parquet:
    """A RowWriter for Parquet, in row groups of 10,000."""

    def __init__(self, file: BinaryIO, run: Run) -> None:
        from cxrscribe.archive.rows.parquet import ParquetFile

        header = {"run": run.run_id, "disclaimer": run.identity.disclaimer}
        self._packed = ParquetFile(file, json.dumps(header), indications=bool(run.identity.indications))
        self._rows: list[Row] = []

    def write(self, row: Row) -> None:
        self._rows.append(row)
        if len(self._rows) == _ROWS_AT_ONCE:
            self._packed.write(self._rows)
            self._rows = []

    def close(self) -> None:
        if self._rows:
            self._packed.write(self._rows)
        self._packed.close()


_WRITERS: Final[dict[str, OpenWriter]] = {
    ".csv": _Csv,
    ".jsonl": _Lines,
    ".jsonl.gz": _GzippedLines,
    ".parquet": _Parquet,
}
