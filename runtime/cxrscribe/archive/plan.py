"""The frozen list of a run's films, cut into shards.

A shard's films stand in a file of their own, whose name holds its digest; `plan.json` names all of them, and
is made last, once. So a plan is there or it isn't, and of two planners at once one wins: the other one's
files have other names, and its plan is dropped.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cxrscribe.archive import layout
from cxrscribe.archive.places.place import Place, is_unfinished
from cxrscribe.errors import InputError
from cxrscribe.json_object import parse_json_object

SHARD_FILMS: Final = 1000
_SHARD_BYTES: Final = 2 << 30
_SCHEMA: Final = 1


@dataclass(frozen=True)
class Listed:
    """A film as its source listed it."""

    film: str
    """What it is called: its path below the run's root, as no member of an archive is called; a member is
    called `exports/a.tar!/b.dcm`. No two films of a run have one name."""
    size: int
    """Bytes; -1 where it couldn't be found or listed."""
    stamp: str
    """What tells this content from a later one: the time of its last change, or its place in its archive."""
    archive: str = ""
    """The path below the root of the archive that it is a member of; empty for a file."""
    path: str = ""
    """The path of a file below the root, where it isn't called by it."""


@dataclass(frozen=True)
class PlannedFilm:
    """A film of the plan."""

    row: int
    """Its number, from 0, in the whole run."""
    film: str
    size: int
    stamp: str
    archive: str = ""
    path: str = ""

    @property
    def location(self) -> str:
        """The path below the root of the file that it is, or is in."""
        return self.archive or self.path or self.film

    @property
    def film_id(self) -> bytes:
        """16 bytes that stand for its name, also where that is no text."""
        return film_id(self.film)


def film_id(film: str) -> bytes:
    """blake2b, 16 bytes, of a film's place below the root, as the file system spells it."""
    return hashlib.blake2b(film.encode("utf-8", "surrogateescape"), digest_size=16).digest()


@dataclass(frozen=True)
class PlannedShard:
    """A shard, as `plan.json` names it."""

    file: str
    sha256: str
    films: int
    first: int
    """Row of its first film; those of the others follow."""


@dataclass(frozen=True)
class Plan:
    """All films of a run. What it says is never changed."""

    root: str
    """The folder that the films' names are relative to."""
    sources: tuple[str, ...]
    """What was given to be searched for films, as absolute paths."""
    shard_films: int
    shards: tuple[PlannedShard, ...]
    sha256: str
    """Of plan.json, which holds the digests of all its files."""

    @property
    def films(self) -> int:
        """How many films there are."""
        return sum(shard.films for shard in self.shards)

    def read_shard(self, place: Place, shard: int) -> tuple[PlannedFilm, ...]:
        """The films of a shard.

        Raises InputError when the plan has none of that number, or its file is damaged.
        """
        if not 0 <= shard < len(self.shards):
            raise InputError(f"there is no shard {shard}: the plan has 0 to {len(self.shards) - 1}")
        planned = self.shards[shard]
        content = place.read(planned.file)
        if hashlib.sha256(content).hexdigest() != planned.sha256:
            raise InputError(
                f"{place.locate(planned.file)} isn't what {layout.PLAN} says (sha256 differs); the plan is "
                "damaged: start a new run"
            )
        return tuple(PlannedFilm(**json.loads(line)) for line in gzip.decompress(content).splitlines())

    @classmethod
    def read(cls, place: Place) -> Plan | None:
        """The plan of the run in `place`; None where there is none yet.

        Raises InputError when it is damaged.
        """
        if not place.has(layout.PLAN):
            return None
        content = place.read(layout.PLAN)
        fields = parse_json_object(content, place.locate(layout.PLAN))
        version = fields.integer("schema")
        if version != _SCHEMA:
            raise InputError(
                f"{place.locate(layout.PLAN)} is of schema {version}, and this version of cxrscribe reads "
                f"{_SCHEMA}; go on with the version that made it"
            )
        fields.skip("films")  # for people: the shards say it too
        shards = tuple(
            each.make(
                PlannedShard,
                file=each.text("file"),
                sha256=each.text("sha256"),
                films=each.integer("films", 1),
                first=each.integer("first"),
            )
            for each in fields.objects("shards")
        )
        return fields.make(
            cls,
            root=fields.text("root"),
            sources=fields.texts("sources"),
            shard_films=fields.integer("shard_films", 1),
            shards=shards,
            sha256=hashlib.sha256(content).hexdigest(),
        )


def make_plan(
    place: Place,
    listed: Iterable[Listed],
    root: str,
    sources: tuple[str, ...],
    shard_films: int = SHARD_FILMS,
) -> Plan:
    """Freeze a list of films, which is read once, film by film, into shards of `shard_films`.

    A shard is also closed at 2 GiB of films. Where another planner has been quicker, its plan is the run's,
    and is given back. Raises InputError when there is no film, or the place can't be written.
    """
    shards: list[PlannedShard] = []
    row = 0
    for films in _sharded(listed, shard_films):
        content = _encoded(films, row)
        digest = hashlib.sha256(content).hexdigest()
        name = layout.plan_file(len(shards), digest)
        place.create(name, content)
        shards.append(PlannedShard(name, digest, len(films), row))
        row += len(films)
    if not shards:
        raise InputError(
            f"{', '.join(sources)}: no film was found; check the path, and the suffixes of the files"
        )
    document = {
        "schema": _SCHEMA,
        "films": row,
        "shard_films": shard_films,
        "root": root,
        "sources": list(sources),
        "shards": [
            {"file": shard.file, "sha256": shard.sha256, "films": shard.films, "first": shard.first}
            for shard in shards
        ],
    }
    place.create(layout.PLAN, json.dumps(document, indent=1).encode())
    plan = Plan.read(place)
    assert plan is not None
    kept = {shard.file for shard in plan.shards}
    for name in place.names(layout.PLAN_FOLDER):  # of planners that were too late, or died
        if name not in kept and not is_unfinished(name):  # someone may be about to finish that one
            place.remove(name)
    return plan


def _sharded(listed: Iterable[Listed], shard_films: int) -> Iterator[list[Listed]]:
    shard: list[Listed] = []
    size = 0
    for film in listed:
        if shard and (len(shard) == shard_films or size + film.size > _SHARD_BYTES):
            yield shard
            shard, size = [], 0
        shard.append(film)
        size += max(film.size, 0)
    if shard:
        yield shard


def _encoded(films: list[Listed], first: int) -> bytes:
    """One JSON object a line; the same bytes for the same films."""
    lines = []
    for number, film in enumerate(films):
        fields: dict[str, object] = {
            "row": first + number,
            "film": film.film,
            "size": film.size,
            "stamp": film.stamp,
        }
        if film.archive:
            fields["archive"] = film.archive
        if film.path:
            fields["path"] = film.path
        lines.append(json.dumps(fields, separators=(",", ":")) + "\n")
    return gzip.compress("".join(lines).encode("ascii"), compresslevel=6, mtime=0)
