"""Tables that are given to `cxrscribe report`: of each film or study, one thing."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from cxrscribe.csv_cells import csv_rows
from cxrscribe.errors import InputError

_MOST_BYTES: Final = 1 << 30


class Table(NamedTuple):
    """What a CSV file says."""

    column: str
    """What its rows name: `film` or `study`."""
    cells: dict[str, str]
    """By `table_key` of that."""


def read_table(path: Path, names: Sequence[str], wanted: str) -> Table:
    """The table of a CSV file in UTF-8, with a column of `names`, the first one that it has, and `wanted`.

    Other columns are left alone. Raises InputError, which shows no cell.
    """
    with _reading(path, f"{names[0]} and {wanted}"), csv_rows(_content(path)) as rows:
        header = next(rows, [])
        name = next((each for each in names if header.count(each) == 1), names[0])
        lacking = [column for column in (name, wanted) if header.count(column) != 1]
        if lacking:
            raise InputError(f"{path} has no column {lacking[0]!r}, or several; its first line names columns")
        key, value = header.index(name), header.index(wanted)
        cells: dict[str, str] = {}
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise InputError(f"{path}, row {number} has {len(row)} cells, not {len(header)}")
            if table_key(row[key]) in cells:
                raise InputError(f"{path}, row {number} names a {name} that a row before names; keep one")
            cells[table_key(row[key])] = row[value]
    return Table(name, cells)


def table_key(name: str) -> str:
    """What names one film, however its path is written."""
    return os.path.normpath(name)


@contextmanager
def _reading(path: Path, columns: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        kind = "UTF-8" if isinstance(error, UnicodeDecodeError) else "CSV"
        raise InputError(f"{path} is not {kind}; write the columns {columns}") from None


def _content(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES} bytes; give a part of it")
    return path.read_text(encoding="utf-8-sig", errors="strict")
