"""What `cxrscribe report` is told of patients: one text for all films, or a table of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscribe.csv_cells import csv_rows
from cxrscribe.errors import InputError

COLUMNS: Final = ("film", "indication")
_MOST_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class Told:
    """Gives the text of each film. No error and no remark says what a text holds."""

    text: str | None = None
    """For all films; None where there is a table, or nothing."""
    table: Mapping[str, str] = field(default_factory=dict)
    """By film."""
    source: Path | None = None
    """Where the table is from."""
    _asked: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything is told at all."""
        return self.text is not None or self.source is not None

    def of(self, film: str) -> str | None:
        """The film's text; None where none is known, and for one that is blank."""
        found = self.text if self.source is None else self.table.get(_key(film))
        self._asked.add(_key(film))
        return found if found and not found.isspace() else None

    def unused(self) -> int:
        """Rows of the table whose film was never asked for."""
        return len(self.table.keys() - self._asked)


NOTHING_TOLD: Final = Told()


def read_told(text: str | None, path: Path | None) -> Told:
    """What the options `--indication` and `--indications` say.

    Raises InputError when both are given, or the file is no table of films and indications.
    """
    if text is not None and path is not None:
        raise InputError("--indication and --indications contradict each other; give one")
    return Told(text) if path is None else Told(table=_read(path), source=path)


def _read(path: Path) -> dict[str, str]:
    """The table of a CSV file with the columns film and indication; others are left alone."""
    table: dict[str, str] = {}
    with _reading(path), csv_rows(_content(path)) as rows:
        header = next(rows, [])
        lacking = [column for column in COLUMNS if header.count(column) != 1]
        if lacking:
            raise InputError(f"{path} has no column {lacking[0]!r}, or several; its first line names columns")
        film, indication = (header.index(column) for column in COLUMNS)
        for number, row in enumerate(rows, start=2):
            if len(row) != len(header):
                raise InputError(f"{path}, row {number} has {len(row)} cells, not {len(header)}")
            if _key(row[film]) in table:
                raise InputError(f"{path}, row {number} names a film that a row before names; keep one")
            table[_key(row[film])] = row[indication]
    return table


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); check the path") from None
    except (UnicodeDecodeError, csv.Error) as error:
        kind = "UTF-8" if isinstance(error, UnicodeDecodeError) else "CSV"
        raise InputError(f"{path} is not {kind}; write the columns film and indication") from None


def _content(path: Path) -> str:
    if path.stat().st_size > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES} bytes; give a part of it")
    return path.read_text(encoding="utf-8-sig", errors="strict")


def _key(film: str) -> str:
    """What names one film, however its path is written."""
    return os.path.normpath(film)
