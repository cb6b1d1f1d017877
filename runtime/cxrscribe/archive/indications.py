"""Which texts the films of a run have in the table of its indications.

The table calls a film as a row does, by its path below the run's root, or by the whole path or URL.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cxrscribe import arguments
from cxrscribe.archive.film_names import FilmNames
from cxrscribe.archive.places.place import is_url
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.text_table import ABSENT, TextTable
from cxrscribe.errors import InputError


@dataclass(frozen=True)
class Coverage:
    """How a table and the films of a run fit together."""

    films: int
    """Of the run."""
    told: int
    """Films that have a text in the table."""
    rows: int
    """Of the table."""
    named: int
    """Rows that name a film of the run."""


def open_table(source: str) -> TextTable:
    """The table in this file, or at this URL. Raises as `TextTable` does."""
    return TextTable(source, ["film"], "indication", lambda film: film.removeprefix("./"))


def text_of(table: TextTable, root: str, film: PlannedFilm) -> str | None:
    """What a table says of a film's patient; None for nothing.

    Raises InputError when it names the film in both ways, or can't be read.
    """
    short, whole = _names(root, film)
    rows = table.places([short, whole])
    if rows.min() > ABSENT:
        raise InputError(
            f"{table.source}, row {rows.max() + 2} names a film that a row before names otherwise; keep one"
        )
    found = short if rows[0] > ABSENT else whole
    return table.text(found, int(rows.max()))


def coverage(table: TextTable, root: str, shards: Iterable[Sequence[PlannedFilm]]) -> Coverage:
    """Count which films of these shards have a text. Raises InputError when the table names none of them."""
    films = told = 0
    named = np.zeros(len(table), np.bool_)
    for shard in shards:
        rows = (
            table.places([name for film in shard for name in _names(root, film)]).reshape(-1, 2).max(axis=1)
        )
        there = rows[rows > ABSENT]
        films += len(shard)
        told += int(np.count_nonzero(table.has_text(there)))
        named[there] = True
    if not named.any():
        raise InputError(
            f"{table.source} names no film of the run; write in the column film what rows call them, their "
            f"paths below {root}"
        )
    return Coverage(films, told, len(table), int(np.count_nonzero(named)))


def _names(root: str, film: PlannedFilm) -> tuple[str, str]:
    """A film's path below the root, as rows have it, and the whole one."""
    name = FilmNames().text(film)
    return name, f"{root.rstrip('/')}/{name}"


def table_place(indications: str | os.PathLike[str]) -> str:
    """What a table is called, also by other processes."""
    path = arguments.path("indications", indications)
    return str(indications) if is_url(indications) else str(path.absolute())
