"""How far a run is: what its parts say, so that any machine can tell, while it runs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from cxrscribe.archive import layout
from cxrscribe.archive.rows.part import PartHeader, part_header
from cxrscribe.archive.run import Run

_WINDOW_SECONDS: Final = 300.0
_LAST_SHARDS: Final = 30
_SHARDS_A_RATE: Final = 3


@dataclass(frozen=True)
class Pace:
    """How fast films get done, and how long the rest will take."""

    overall: float
    """Films a second, from the run's beginning to its last part."""
    recent: float
    """The same, as a moving average that forgets within five minutes."""
    seconds_left: float
    earliest: float
    """Seconds that the rest takes at the speed that nine tenths of the last 30 shards didn't reach."""
    latest: float
    """Seconds that the rest takes at the speed that nine tenths of the last 30 shards exceeded."""


@dataclass(frozen=True)
class Status:
    """How far a run is."""

    films: int
    done: int
    """Films that have a row."""
    shards: int
    shards_done: int
    reasons: Mapping[str, int]
    """Films without a report, for each reason."""
    duplicates: int
    bytes: int
    retries: int
    """Passes over films that had no report."""
    open_attempts: int
    """Shards that were begun and have no part yet."""
    shards_redone: int
    """Shards that were begun more than once."""
    pace: Pace | None
    """None until there are two parts."""
    told: int | None = None
    """Films whose report was written with an indication; None in runs that give none."""
    sr_documents: int | None = None
    """Structured reports; None in runs that make none, as the two that follow."""
    sr_not_possible: Mapping[str, int] | None = None
    """Films with a report that can have no structured one, for each reason."""
    sr_left_out: int | None = None
    """Values of films' patients and studies that weren't valid, and are empty in structured reports."""

    @property
    def quarantined(self) -> int:
        """Films without a report."""
        return sum(self.reasons.values())

    @property
    def ok(self) -> int:
        """Films with a report."""
        return self.done - self.quarantined


class Watch:
    """Looks at a run again and again; what it knows of a part, it need not read twice."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._headers: dict[str, PartHeader] = {}
        self._times: dict[str, float] = {}

    def look(self) -> Status:
        """How far the run is now. Raises InputError when a part is damaged."""
        run = self._run
        generations = run.generations()
        reasons: Counter[str] = Counter()
        not_possible: Counter[str] = Counter()
        done = shards_done = duplicates = size = begun = redone = told = documents = left_out = 0
        finished: list[tuple[float, int]] = []
        for generation in generations:
            parts = generation.done()
            for shard, name in parts.items():
                header = self._header(name)
                if generation.rows is not None and shard in generation.rows:
                    reasons.subtract(map(str, generation.rows[shard].values()))
                if generation.number == 0:
                    done += header.films
                    shards_done += 1
                    duplicates += header.duplicates
                    size += header.bytes
                    finished.append((self._times[name], header.films))
                reasons.update(header.reasons)
                told += header.told or 0
                if header.sr is not None:
                    documents += header.sr.documents
                    not_possible.update(header.sr.not_possible)
                    left_out += header.sr.left_out
            attempts = _attempts(run, generation.number)
            begun += sum(shard not in parts for shard in attempts)
            redone += sum(attempt > 1 for attempt in attempts.values())
        return Status(
            films=run.plan.films,
            done=done,
            shards=len(run.plan.shards),
            shards_done=shards_done,
            reasons=dict(sorted((+reasons).items())),
            duplicates=duplicates,
            bytes=size,
            retries=len(generations) - 1,
            open_attempts=begun,
            shards_redone=redone,
            pace=pace(sorted(finished), run.place.modified(layout.RUN), run.plan.films - done),
            told=told if run.identity.indications else None,
            sr_documents=documents if run.identity.sr else None,
            sr_not_possible=dict(sorted(not_possible.items())) if run.identity.sr else None,
            sr_left_out=left_out if run.identity.sr else None,
        )

    def _header(self, name: str) -> PartHeader:
        if name not in self._headers:
            self._headers[name] = part_header(self._run.place, name)
            self._times[name] = self._run.place.modified(name)
        return self._headers[name]


def pace(finished: Sequence[tuple[float, int]], began: float, left: int) -> Pace | None:
    """The pace of shards that were finished at these times, in order, with so many films each.

    `began`: when the run did; `left`: films that are to be done. None where two shards are needed and aren't
    there.
    """
    if len(finished) < 2 or finished[-1][0] <= began:
        return None
    overall = sum(films for _, films in finished) / (finished[-1][0] - began)
    recent = overall
    for (before, _), (time, films) in pairwise(finished):
        took = max(time - before, 1e-3)
        kept = math.exp(-took / _WINDOW_SECONDS)
        recent = kept * recent + (1 - kept) * films / took
    rates = sorted(_rates(finished[-_LAST_SHARDS - 1 :])) or [recent]
    slow, fast = rates[len(rates) // 10], rates[-1 - len(rates) // 10]
    return Pace(overall, recent, left / recent, left / max(fast, recent), left / min(slow, recent))


def _rates(finished: Sequence[tuple[float, int]]) -> list[float]:
    """Films a second between shards, three at a time: several workers may finish theirs together."""
    found = []
    for place in range(0, len(finished) - _SHARDS_A_RATE, _SHARDS_A_RATE):
        span = finished[place : place + _SHARDS_A_RATE + 1]
        took = max(span[-1][0] - span[0][0], 1e-3)
        found.append(sum(films for _, films in span[1:]) / took)
    return found


def _attempts(run: Run, generation: int) -> dict[int, int]:
    """How often each shard has been begun that has been."""
    folder = layout.attempt_file(generation, 0, 1).rpartition("/")[0]
    found: dict[int, int] = {}
    for name in run.place.names(folder):
        shard, _, attempt = name.rpartition("/")[2].partition(".")
        if shard.isdigit() and attempt.isdigit():
            found[int(shard)] = max(found.get(int(shard), 0), int(attempt))
    return found
