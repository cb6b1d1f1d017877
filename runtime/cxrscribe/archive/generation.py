"""A pass over a run's films: the run itself is generation 0, and each retry one more.

All generations work alike: shards of films, a part for each. A retry has those films only that had no report
before; where it has a row for a film, that row counts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cxrscribe.archive import layout
from cxrscribe.archive.places.place import Place
from cxrscribe.archive.plan import Plan, PlannedFilm
from cxrscribe.errors import InputError, Reason
from cxrscribe.json_object import parse_json_object

_SCHEMA: Final = 1


@dataclass(frozen=True)
class Generation:
    """One pass over the films of a plan, or over some of them."""

    number: int
    place: Place
    plan: Plan
    suffix: str
    """Of its parts."""
    rows: Mapping[int, Mapping[int, Reason]] | None = None
    """By shard, which rows it has, each with why it had no report before; None for all of the plan."""

    @property
    def shards(self) -> Sequence[int]:
        """The shards that have films in it, in order."""
        return range(len(self.plan.shards)) if self.rows is None else sorted(self.rows)

    @property
    def film_count(self) -> int:
        """How many films it has."""
        return self.plan.films if self.rows is None else sum(map(len, self.rows.values()))

    def films_of(self, shard: int) -> tuple[PlannedFilm, ...]:
        """Its films in a shard, in order.

        Raises InputError when it has none there, or the plan is damaged.
        """
        films = self.plan.read_shard(self.place, shard)
        if self.rows is None:
            return films
        wanted = frozenset(self.rows.get(shard, {}))
        if not wanted:
            raise InputError(f"there is no shard {shard} in retry {self.number}")
        return tuple(film for film in films if film.row in wanted)

    def count_of(self, shard: int) -> int:
        """How many films it has in a shard."""
        return self.plan.shards[shard].films if self.rows is None else len(self.rows[shard])

    def part(self, shard: int) -> str:
        """The name of a shard's part."""
        return layout.part_file(self.number, shard, self.suffix)

    def is_done(self, shard: int) -> bool:
        """Whether a shard's part is there, and so all its films are done."""
        return self.place.has(self.part(shard))

    def done(self) -> dict[int, str]:
        """The parts that are there, by shard."""
        folder = layout.generation_folder(self.number) if self.number else layout.PARTS_FOLDER
        names = frozenset(self.place.names(folder))
        return {shard: name for shard in self.shards if (name := self.part(shard)) in names}

    def missing(self) -> list[int]:
        """The shards that are still to be done."""
        done = self.done()
        return [shard for shard in self.shards if shard not in done]


def write_retry(place: Place, number: int, rows: Mapping[int, Mapping[int, Reason]]) -> None:
    """Freeze which films a retry is about, unless someone has been quicker."""
    document = {
        "schema": _SCHEMA,
        "generation": number,
        "rows": {
            str(shard): {str(row): reason for row, reason in each.items()} for shard, each in rows.items()
        },
    }
    place.create(layout.retry_file(number), json.dumps(document).encode("ascii"))


def read_retry(place: Place, number: int) -> dict[int, dict[int, Reason]]:
    """The rows of a retry, by shard, each with why it had no report before.

    Raises InputError when there is no such retry, or it is damaged.
    """
    name = layout.retry_file(number)
    fields = parse_json_object(place.read(name), place.locate(name))
    if fields.integer("schema") != _SCHEMA or fields.integer("generation") != number:
        raise InputError(f"{place.locate(name)} is of another version of cxrscribe; go on with that one")
    shards = fields.object("rows")
    found = {}
    for shard in shards.names():
        rows = shards.object(shard)
        found[int(shard)] = {int(row): Reason(rows.text(row)) for row in rows.names()}
    return found
