"""A table that has a text for each film, say: a CSV file of any length, of which memory holds places only.

The texts stay where they are. A row is read when its film comes, and compared with what was there when the
table was opened: nobody gets the text of another table, and no copy of one is left anywhere.
"""

from __future__ import annotations

import csv
import hashlib
import os
import tempfile
import weakref
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.archive.places.place import is_url
from cxrscribe.csv_cells import csv_records, csv_rows
from cxrscribe.errors import InputError
from cxrscribe.forks import ForkSafeLock
from cxrscribe.regular_file import open_regular

ABSENT: Final = -1

_MOST_ROWS: Final = 1 << 31
_LONGEST_ROW: Final = 16 << 20
_DIGEST_BYTES: Final = 8
_BOM: Final = b"\xef\xbb\xbf"

_parsing: Final = ForkSafeLock()
"""How long a cell may be is said for all threads at once."""


def _as_it_is(name: str) -> str:
    return name


class TextTable:
    """A CSV file in UTF-8 with a column of names and one of texts, say of films; others are left alone.

    It takes 28 bytes of memory a row. Safe to be used by several threads. Raises InputError when the file is
    no such table, names a film twice, can't be read, or has changed since it was opened; no error says what
    a text holds. Raises MissingExtraError where it is in a bucket, and the extra `store` isn't installed.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        names: Sequence[str],
        texts: str,
        key: Callable[[str], str] = _as_it_is,
    ) -> None:
        """`source`: a path, or the URL of an object. `texts`: the column of the texts.

        `names`: the column of the names, or several, of which the first one counts that is there. `key`: what
        a cell of it calls a film, or a study.
        """
        self.source = str(source)
        self._key = key
        with _opened(self.source) as file:
            reading = _Reading(file, self.source)
            with _reachable(self.source), _understood(self.source, f"{names[0]} and {texts}"), _parsing:
                self.column, self._columns = reading.columns(names, texts)
                keys, self._offsets, self._sizes, self._checks = _indexed(reading, self._columns, key)
            self._content = _Content(file, self.source)
        self.sha256 = reading.sha256
        self._order = _ordered(keys, self.source, self.column)
        self._keys = keys[self._order]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._order)

    @property
    def texts(self) -> int:
        """How many rows have a text."""
        return int(np.count_nonzero(self._sizes))

    def places(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The row of each of these names, from 0; `ABSENT` where there is none."""
        wanted = np.frombuffer(b"".join(map(_digest, names)), np.uint64)
        if not len(self._keys):
            return np.full(len(wanted), ABSENT, np.int64)
        found = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        rows: NDArray[np.int64] = np.where(
            self._keys[found] == wanted, self._order[found].astype(np.int64), ABSENT
        )
        return rows

    def has_text(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these rows have one."""
        return self._sizes[rows] > 0

    def text(self, name: str, row: int | None = None) -> str | None:
        """The text of a name; None where it has no row, or a blank one. `row`: what `places` gives of it."""
        place = int(self.places([name])[0]) if row is None else row
        if place == ABSENT or not self._sizes[place]:
            return None
        content = self._content.read(int(self._offsets[place]), int(self._sizes[place]))
        if int.from_bytes(_digested(content)) != int(self._checks[place]):
            raise InputError(f"{self.source} has changed since it was opened; give the same command again")
        with _parsing, csv_rows(content.decode("utf-8")) as rows:
            cells = next(rows)
        name_column, text_column = self._columns
        return cells[text_column] if self._key(cells[name_column]) == name else None


_Index = tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.uint32], NDArray[np.uint64]]


def _indexed(reading: _Reading, columns: tuple[int, int], key: Callable[[str], str]) -> _Index:
    """Of each row: the digest of its name, where it is, its size (0 where it is blank), and its digest."""
    keys, offsets, sizes, checks = bytearray(), array("Q"), array("I"), array("Q")
    name_column, text_column = columns
    for row, offset, content in reading.rows():
        text = row[text_column]
        keys += _digest(key(row[name_column]))
        offsets.append(offset)
        sizes.append(len(content) if text and not text.isspace() else 0)
        checks.append(int.from_bytes(_digested(content)))
    return (
        np.frombuffer(keys, np.uint64),
        np.frombuffer(offsets, np.uint64),
        np.frombuffer(sizes, np.uint32),
        np.frombuffer(checks, np.uint64),
    )


def _ordered(keys: NDArray[np.uint64], source: str, column: str) -> NDArray[np.uint32]:
    """The rows by their keys. Raises InputError where two have the same."""
    order = np.argsort(keys, kind="stable").astype(np.uint32)
    ordered = keys[order]
    twice = order[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        raise InputError(
            f"{source}, row {int(twice.min()) + 2} names a {column} that a row before names; keep one"
        )
    return order


class _Reading:
    """One pass over a table, row by row."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._file = file
        self._source = source
        self._sha256 = hashlib.sha256()
        self._row: list[bytes] = []
        """The lines of the row that is being read."""
        self._size = 0
        self._end = 0
        """Of what has been read."""
        self._width = 0

    @property
    def sha256(self) -> str:
        """Of what has been read; once all rows are, of the table."""
        return self._sha256.hexdigest()

    def columns(self, names: Sequence[str], texts: str) -> tuple[str, tuple[int, int]]:
        """The first of the columns `names` that is there, its place, and that of `texts`."""
        with csv_records(self._lines()) as rows:
            header = next((row for row in rows if row), [])
        chosen = next((name for name in names if header.count(name) == 1), names[0])
        lacking = [name for name in (chosen, texts) if header.count(name) != 1]
        if lacking:
            raise InputError(
                f"{self._source} has no column {lacking[0]!r}, or several; its first line names columns"
            )
        self._width = len(header)
        return chosen, (header.index(chosen), header.index(texts))

    def rows(self) -> Iterator[tuple[list[str], int, bytes]]:
        """The cells of each row below the header, where its bytes begin, and these."""
        self._row, self._size = [], 0
        with csv_records(self._lines()) as rows:
            number = 1
            for row in rows:
                if not row:  # a blank line, such as editors leave; it counts as none
                    self._row, self._size = [], 0
                    continue
                number += 1
                if len(row) != self._width:
                    raise InputError(f"{self._source}, row {number} has {len(row)} cells, not {self._width}")
                if number > _MOST_ROWS:
                    raise InputError(f"{self._source} has more than {_MOST_ROWS:,} rows; give a part of it")
                content = b"".join(self._row)
                yield row, self._end - len(content), content
                self._row, self._size = [], 0

    def _lines(self) -> Iterator[str]:
        """The lines, each taken once the reader of cells needs it."""
        while line := self._file.readline(_LONGEST_ROW + 1):
            self._sha256.update(line)
            text = line.removeprefix(_BOM) if not self._end else line
            self._end += len(line)
            self._row.append(line)
            self._size += len(line)
            if self._size > _LONGEST_ROW:
                raise InputError(
                    f"{self._source} has a row of more than {_LONGEST_ROW:,} bytes, or a quote that isn't "
                    "closed; correct it"
                )
            yield text.decode("utf-8")


class _Content:
    """A file whose bytes are read from anywhere, for as long as this is there, whatever its name is then."""

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._source = source
        self._number = os.dup(file.fileno())
        self._turn = ForkSafeLock()
        weakref.finalize(self, os.close, self._number)

    def read(self, offset: int, size: int) -> bytes:
        """So many bytes from there, or as many as there are."""
        with _reachable(self._source), self._turn:
            os.lseek(self._number, offset, os.SEEK_SET)
            parts = []
            while size and (part := os.read(self._number, size)):
                parts.append(part)
                size -= len(part)
        return b"".join(parts)


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    """The file, or a copy of an object that has no name and goes with this process."""
    if is_url(source):
        with tempfile.TemporaryFile(prefix="cxrscribe-") as copy:
            _fetch(source, copy)
            copy.seek(0)
            yield copy
        return
    with _reachable(source):
        file = BufferedReader(open_regular(Path(source)))
    with file:
        yield file


def _fetch(url: str, copy: IO[bytes]) -> None:
    from cxrscribe.archive.places.bucket import open_store, require_obstore

    folder, _, name = url.rpartition("/")
    obstore = require_obstore()
    store = open_store(folder)
    try:
        for part in obstore.get(store, name).stream():
            copy.write(part)
    except FileNotFoundError:
        raise InputError(f"{url} is not there; check the URL of the table") from None
    except (obstore.exceptions.BaseError, OSError) as error:
        raise InputError(
            f"{url} can't be fetched ({type(error).__name__}); check bucket, credentials, network, and the "
            "room for temporary files"
        ) from None


@contextmanager
def _reachable(source: str) -> Iterator[None]:
    """Let what goes wrong with a file be an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{source} can't be read ({error.strerror}); check the path") from None


@contextmanager
def _understood(source: str, columns: str) -> Iterator[None]:
    """Let what is no CSV file be an InputError that names it, and nothing in it, and says what to write."""
    try:
        yield
    except (UnicodeDecodeError, csv.Error) as error:
        kind = "UTF-8" if isinstance(error, UnicodeDecodeError) else "CSV"
        raise InputError(f"{source} is not {kind}; write the columns {columns}") from None


def _digest(name: str) -> bytes:
    return _digested(name.encode("utf-8", "surrogatepass"))


def _digested(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
