r"""Cells of CSV files, written so that a spreadsheet computes nothing, and read back as they were.

A text is written with the escapes of `printable`, and `\x5c` for a backslash that could be taken for the
beginning of one. Where a spreadsheet would see a formula, it gets an apostrophe in front. Both can be undone:
`csv_text` gives back any text that `csv_cell` was given.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from cxrscribe.printable import printable

Cell: TypeAlias = str | float | bool | list[str] | None

_ESCAPE: Final = r"x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}"
_BEGINS_ESCAPE: Final = re.compile(rf"\\(?={_ESCAPE})")
_ESCAPED: Final = re.compile(rf"\\({_ESCAPE})")
# What spreadsheets pass over at the beginning of a cell, then what makes a formula of it; some take the wide
# forms of East Asian keyboards too. Tabs and line ends, which do it as well, are escaped already.
_FORMULA: Final = re.compile("[\\s\u200c\u200d'\"]*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
_MOST_CELL: Final = (1 << 31) - 1  # what the C type of the csv module holds everywhere


def csv_cell(text: str) -> str:
    """A text as a cell of a CSV file holds it; numbers need no such thing."""
    escaped = printable(_BEGINS_ESCAPE.sub(r"\\x5c", text))
    return f"'{escaped}" if _FORMULA.match(escaped) else escaped


def csv_text(cell: str) -> str:
    """The text that `csv_cell` made a cell of."""
    if cell.startswith("'") and _FORMULA.match(cell, 1):
        cell = cell[1:]
    return _ESCAPED.sub(_unescape, cell)


def csv_line(cells: Sequence[Cell]) -> bytes:
    """A row in UTF-8, RFC 4180, its line end included.

    Texts as `csv_cell` writes them. None is empty; numbers, truth values and lists of texts are JSON, in
    ASCII, and need no `csv_text`.
    """
    line = io.StringIO(newline="")
    csv.writer(line).writerow([_written(cell) for cell in cells])
    return line.getvalue().encode("utf-8")


@contextmanager
def csv_rows(text: str) -> Iterator[Iterator[list[str]]]:
    """The cells of each row of a CSV file as they stand there, however long, for `csv_text`.

    Raises csv.Error where it is no CSV file.
    """
    with csv_records(io.StringIO(text, newline="")) as rows:
        yield rows


@contextmanager
def csv_records(lines: Iterable[str]) -> Iterator[Iterator[list[str]]]:
    """As `csv_rows`, of lines with their ends, which are taken as they are needed."""
    before = csv.field_size_limit(_MOST_CELL)  # of all readers: there is no other way to say it
    try:
        yield csv.reader(lines, strict=True)
    finally:
        csv.field_size_limit(before)


def _written(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, list):
        return json.dumps(cell).replace("\x7f", "\\u007f")  # DEL is nothing to JSON
    return csv_cell(cell) if isinstance(cell, str) else repr(float(cell))


def _unescape(found: re.Match[str]) -> str:
    kind, digits = found[1][0], found[1][1:]
    code = int(digits, 16)
    return chr(code + 0xDC00 if kind == "x" and code >= 0x80 else code)
