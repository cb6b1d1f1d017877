"""Films of a run read or scored once more, and compared with their rows."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import FaultError, QuarantinedError
from cxrscribe.archive.rows.part import read_part
from cxrscribe.archive.rows.row import Row
from cxrscribe.archive.run import Run
from cxrscribe.archive.sources.reading import FilmReader
from cxrscribe.archive.stream import Group, RowStream
from cxrscribe.arguments import whole_number
from cxrscribe.errors import InputError
from cxrscribe.search.scheduler import IMAGES_AT_ONCE
from cxrscribe.sessions.device import processor_name

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter

_SAME_LOG_PROB: Final = 1e-3
"""How far log-probabilities may lie apart that different kinds of processors computed."""


@dataclass(frozen=True)
class Comparison:
    """What became of rows that were compared with their films."""

    compared: int
    problems: tuple[str, ...]
    """A sentence for each that is different now."""


def verify_contents(run: Run) -> Comparison:
    """Read all films again, and compare their contents with what their rows say was scored."""
    compared = 0
    problems = []
    with FilmReader(run.plan.root) as reader:
        for film, row in newest_rows(run):
            if row.content_sha256 is None:
                continue
            compared += 1
            try:
                same = hashlib.sha256(reader.read(film)).digest() == row.content_sha256
            except (QuarantinedError, FaultError) as error:
                problems.append(f"row {row.row}: {error}")
                continue
            if not same:
                problems.append(f"row {row.row}: its film has another content than the one that was scored")
    return Comparison(compared, tuple(problems))


def verify_sample(run: Run, reporter: Reporter, count: int, seed: int = 0) -> Comparison:
    """Score `count` films anew, those of them that have a report, and compare it with their rows.

    To the bit where the same kind of processor computed the row; elsewhere the words, and log-probabilities
    to 0.001. Raises InputError when the reporter isn't what the run was begun with.
    """
    count = whole_number("count", count, 1)
    run.check(reporter)
    chosen = random.Random(seed).sample(range(run.plan.films), min(count, run.plan.films))
    samples = _samples(run, frozenset(chosen))
    problems = []
    compared = 0
    groups = [Group(shard, [each.film for each in rows.values()]) for shard, rows in samples.items()]
    for group, found in RowStream(run, reporter, score_duplicates=True).rows(groups, IMAGES_AT_ONCE):
        if isinstance(found, FaultError):
            raise InputError(f"{found.what} ({found}); {found.remedy}, and give the same command")
        assert found is not None
        compared += 1
        known = samples[group.shard][found.row]
        here = known.processor == processor_name()
        if found != known.row and (here or not _nearly(known.row, found)):
            problems.append(f"row {found.row}: scored anew, its film has another report")
    return Comparison(compared, tuple(problems))


@dataclass(frozen=True)
class _Known:
    """A film, its newest row, and the processor that computed it."""

    film: PlannedFilm
    row: Row
    processor: str


def newest_rows(run: Run) -> Iterator[tuple[PlannedFilm, Row]]:
    """All films that have a row, in the plan's order, each with the row that counts. Raises InputError."""
    done = _done(run)
    for shard in range(len(run.plan.shards)):
        for known in _newest(run, done, shard):
            yield known.film, known.row


def _done(run: Run) -> list[dict[int, str]]:
    """The parts of each generation."""
    return [generation.done() for generation in run.generations()]


def _newest(run: Run, done: Sequence[Mapping[int, str]], shard: int) -> Iterator[_Known]:
    """The films of a shard that have a row, in order."""
    found: dict[int, tuple[Row, str]] = {}
    for names in done:
        if shard in names:
            part = read_part(run.place.read(names[shard]), names[shard])
            found |= {row.row: (row, part.header.processor) for row in part.rows()}
    if found:
        for film in run.plan.read_shard(run.place, shard):
            if film.row in found:  # a retry's alone, where the run's own part was put aside
                yield _Known(film, *found[film.row])


def _samples(run: Run, rows: frozenset[int]) -> dict[int, dict[int, _Known]]:
    """Of these rows, those with a report, by shard and row."""
    done = _done(run)
    found: dict[int, dict[int, _Known]] = {}
    for shard, planned in enumerate(run.plan.shards):
        if rows.isdisjoint(range(planned.first, planned.first + planned.films)):
            continue
        known = {each.row.row: each for each in _newest(run, done, shard) if each.row.report is not None}
        if chosen := {row: each for row, each in known.items() if row in rows}:
            found[shard] = chosen
    return found


def _nearly(known: Row, found: Row) -> bool:
    if known.report is None or found.report is None:
        return False
    same = replace(found, report=known.report) == known and found.report.text == known.report.text
    return same and math.isclose(found.report.log_prob, known.report.log_prob, abs_tol=_SAME_LOG_PROB)
