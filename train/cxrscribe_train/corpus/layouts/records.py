"""Rows of CSV and JSON files that people and programs of all kinds have written."""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import re
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import Damaged

_DELIMITERS: Final = (",", ";", "\t")
_DELIMITER_LINE: Final = re.compile(r'sep=([^\w\s"]|\t)', re.IGNORECASE)
"""The first line of Excel's files that name their delimiter."""
_JSON_ENDINGS: Final = (".json", ".jsonl", ".ndjson")
_LONGEST_LIST: Final = 20_000


@dataclass(frozen=True)
class Record:
    """One row: where it stands, and its values by column."""

    place: str
    values: Mapping[str, object]

    def __getitem__(self, column: str) -> object:
        return self.values.get(column)


def read_csv(path: Path, required: Sequence[str], encoding: str = "utf-8") -> Iterator[Record | Damaged]:
    """The rows of a CSV file with a header line, plain or gzipped.

    Columns are parted by a comma, a semicolon or a tab, whichever the header has most of, or by the sign that
    a first line `sep=;` names. Blank lines before the header are passed over. Header names count without
    case, outer blanks and ends of lines. A row with a wrong number of fields is damaged; where a quote is
    wrong, reading goes on in the next line. A mark of byte order is taken off.

    Raises InputError when the file can't be read or decoded, lacks a required column, or has one twice.
    """
    with _opened(path, encoding) as file:
        lines = _Lines(file)
        header, delimiter = _header(path, lines)
        lacking = [name for name in required if column_name(name) not in header]
        if lacking:
            raise InputError(
                f"{path} has no column {', '.join(lacking)}; its columns are {', '.join(header) or 'none'}. "
                "Columns are parted by commas, semicolons or tabs, or as a first line `sep=|` says"
            )
        while True:
            lines.begin_record()
            place = f"{path.name}, line {lines.number + 1}"
            try:
                fields = next(csv.reader(lines, delimiter=delimiter, strict=True))
            except StopIteration:
                return
            except csv.Error as error:
                lines.give_back_all_but_first()
                yield Damaged(place, f"is no row of CSV ({error}); correct its quotes")
                continue
            if len(fields) == len(header):
                yield Record(place, dict(zip(header, fields, strict=True)))
            elif fields:
                yield Damaged(place, f"has {len(fields)} fields instead of {len(header)}")


def column_name(header: str) -> str:
    """A header as columns are known by: lower case, white space collapsed."""
    return " ".join(header.split()).lower()


def read_json(path: Path) -> object:
    """A JSON file with a mark of byte order or without. Raises InputError when it can't be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} can't be read as JSON ({error})") from None


def holds_json(path: Path) -> bool:
    """Whether a file's name says that it is JSON, gzipped or not."""
    return path.name.lower().removesuffix(".gz").endswith(_JSON_ENDINGS)


def read_json_lines(path: Path, encoding: str = "utf-8") -> Iterator[Record | Damaged]:
    """The objects of a file with one JSON object a line, plain or gzipped.

    Raises InputError when the file can't be read or decoded, or is one array.
    """
    with _opened(path, encoding) as file:
        first = True
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            if first and line.lstrip().startswith("["):
                raise InputError(f"{path} is a JSON array; write its objects one a line, without brackets")
            first = False
            place = f"{path.name}, line {number}"
            try:
                content = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Damaged(place, f"is no JSON ({error})")
                continue
            if isinstance(content, dict):
                yield Record(place, {column_name(str(name)): value for name, value in content.items()})
            else:
                yield Damaged(place, "is no JSON object")


def literal_list(text: str) -> tuple[str, ...]:
    """The strings of a list that Python printed, such as `['normal', 'scoliosis']`; nothing is evaluated.

    Raises InputError when it is something else.
    """
    try:
        if len(text) > _LONGEST_LIST:
            raise ValueError(f"{len(text)} characters")
        content = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise InputError(f"{text[:60]!r} is no list of words ({type(error).__name__})") from None
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise InputError(f"{text[:60]!r} is no list of words")
    return tuple(word.strip() for word in content if word.strip())


def plain_or_gzipped(folder: Path, name: str) -> Path | None:
    """The file of that name, or the same with `.gz`; None where there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _header(path: Path, lines: _Lines) -> tuple[list[str], str]:
    """The names of the columns, and what parts them."""
    line = next((line for line in lines if line.strip()), "")
    named = _DELIMITER_LINE.fullmatch(line.strip("\r\n").strip('"'))
    if named:
        line = next((line for line in lines if line.strip()), "")
    delimiter = named[1] if named else max(_DELIMITERS, key=line.count)
    lines.give_back(line)
    try:
        fields = next(csv.reader(lines, delimiter=delimiter), [])
    except csv.Error as error:
        raise InputError(f"{path}: its first line is no row of CSV ({error}); correct its quotes") from None
    header = [column_name(name) for name in fields]
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError(f"{path} has more than one column {', '.join(repeated)}; keep or rename one")
    return header, delimiter


class _Lines:
    """The lines of a file, from which those of a damaged record can be taken again. An iterator."""

    def __init__(self, file: Iterable[str]) -> None:
        self.number = 0
        """Lines given out, in all."""
        self._file = iter(file)
        self._again: deque[str] = deque()
        self._record: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._file)
        self._record.append(line)
        self.number += 1
        return line

    def give_back(self, line: str) -> None:
        """The last line is read anew; an empty one stands for the end of the file."""
        if line:
            self._again.appendleft(line)
            self.number -= 1

    def begin_record(self) -> None:
        """What comes now is one record."""
        self._record = []

    def give_back_all_but_first(self) -> None:
        """The record is damaged: its other lines are read anew."""
        self._again.extendleft(reversed(self._record[1:]))
        self.number -= len(self._record) - 1


@contextmanager
def _opened(path: Path, encoding: str) -> Iterator[IO[str]]:
    try:
        with (
            _bytes_of(path) as raw,
            io.TextIOWrapper(raw, encoding=_with_mark(raw, encoding), newline="") as file,
        ):
            yield file
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not {encoding} (byte {error.start} of a part is {error.object[error.start]:#04x}); "
            "give its --encoding, such as utf-16, latin-1 or gb18030"
        ) from None
    except (LookupError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} can't be read ({error})") from None


def _bytes_of(path: Path) -> io.BufferedReader:
    """The content of a file, unpacked where it is gzipped."""
    if path.name.lower().endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(path, "rb"))
    return path.open("rb")


def _with_mark(raw: io.BufferedReader, encoding: str) -> str:
    """The encoding that takes off a mark of byte order: UTF-16 is known by its mark, UTF-8 may have one."""
    if raw.peek(2)[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    return "utf-8-sig" if encoding.lower().replace("-", "") == "utf8" else encoding
