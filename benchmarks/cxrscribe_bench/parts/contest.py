"""Our runtime against the peers: from films, from features, the encoder alone, one film at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.cli.progress import progress
from cxrscribe_bench.groups import (
    ENCODER,
    FEATURES,
    FILMS,
    OFFLINE_FEATURES,
    OFFLINE_FILMS,
    ONE_FILM,
    OURS,
    SINGLE_FILMS,
)
from cxrscribe_bench.material.expected_words import ExpectedWords
from cxrscribe_bench.parts.plan import Plan
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.quality import quality_of
from cxrscribe_bench.systems.entrants import Entrant
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.timing.race import Field, Lap, Note, Turns, take_turns
from cxrscribe_bench.workload import Workload

_FROM_FILMS: Final = "from_films"
_FROM_FEATURES: Final = "from_features"
_ENCODE: Final = "encode"

_UNSTABLE: Final[Words] = [-1]
"""In place of a report that was not the same in all rounds: no report has this word."""

Found = dict[str, dict[int, Words]]
"""Reports by the entrant's name and the image's place."""


@dataclass(frozen=True)
class Contest:
    """Who runs on what, and where it is written down."""

    entrants: tuple[Entrant, ...]
    workload: Workload
    rows: int
    """Rows of features in the workload."""
    plan: Plan
    expected: ExpectedWords
    ledger: Ledger
    logs: Path
    note: Note

    def offline(self) -> None:
        """All images at once: from films, from features, and films already decoded through the encoder."""
        films, rows, few = len(self.workload.films), self.rows, self.plan.few
        with self._field(self.entrants, self.workload) as field:
            rounds = self.plan.rounds
            found = self._race(OFFLINE_FILMS, field.laps(_FROM_FILMS, films, films, few), rounds)
            self._check(field, FILMS, FILMS, found)
            self._quality(found)
            found = self._race(OFFLINE_FEATURES, field.laps(_FROM_FEATURES, rows, rows, few), rounds)
            self._check(field, FEATURES, FEATURES, found)
            self._race(ENCODER, field.laps(_ENCODE, films, films, few), rounds)

    def singly(self) -> None:
        """One film at a time, each round another film; programs with a static batch have one of 1."""
        films, plan = len(self.workload.films), self.plan
        # By themselves: the others would wait seconds between two films.
        slow = [entrant for entrant in self.entrants if entrant.few and SINGLE_FILMS in plan.slow_groups]
        fast = [entrant for entrant in self.entrants if not entrant.few]
        workload = replace(self.workload, batch_size=1)
        for entrants, rounds in ((fast, plan.single_films), (slow, max(2, plan.single_films // 4))):
            if not entrants:
                continue
            with self._field(entrants, workload, ", one film at a time") as field:
                found = self._race(SINGLE_FILMS, field.laps(_FROM_FILMS, films, 1, 1), rounds)
                self._check(field, FILMS, ONE_FILM, found)

    def _field(self, entrants: Sequence[Entrant], workload: Workload, mode: str = "") -> Field:
        field = Field(entrants, workload, self.logs, self.note)
        for name, why in field.absent.items():
            self.ledger.leave_out(name, why, is_ours=name.startswith(f"{OURS}/"))
        self.ledger.details.update({f"{name}{mode}": each for name, each in field.details.items()})
        return field

    def _race(self, group: str, laps: Sequence[Lap], rounds: int) -> Found:
        """Time the laps and write them down; gives the reports, where there are any."""
        entrants = {entrant.name: entrant for entrant in self.entrants}
        if group not in self.plan.slow_groups:
            laps = [lap for lap in laps if not entrants[lap.name].few]
        self.note(f"{group}: {rounds} rounds of {len(laps)}")
        turns = take_turns(laps, progress(range(rounds + 1), label=group))
        for name, why in turns.failed.items():
            self.ledger.leave_out(f"{name} ({group})", why, is_ours=entrants[name].system == OURS)
        for lap in laps:
            if lap.name in turns.replies:
                self.ledger.measurements.append(_measurement(group, entrants[lap.name], lap, turns))
        return _found(laps, turns)

    def _check(self, field: Field, source: str, name: str, found: Found) -> None:
        """Hold reports against the reference of their precision; those of an engine's own against fp32.

        `name`: what the record calls this source.
        """
        known = {entrant.precision for entrant in self.entrants if entrant.system == OURS}
        for each, reports in found.items():
            entrant = field.entrants[each]
            precision = entrant.precision if entrant.precision in known else FP32
            self.ledger.checks.append(
                replace(
                    self.expected.check(
                        entrant.system, source, precision, reports, is_required=entrant.system == OURS
                    ),
                    source=name,
                    precision=entrant.precision,
                )
            )

    def _quality(self, found: Found) -> None:
        manifest = Manifest.read(self.workload.bundle)
        expected = self.expected.words(FILMS, FP32)
        for entrant in self.entrants:
            if entrant.system == OURS and entrant.name in found:
                reports = found[entrant.name]
                pairs = [(expected[place], words) for place, words in sorted(reports.items())]
                fp32, own = zip(*pairs, strict=True)
                self.ledger.quality.append(quality_of(entrant.precision, fp32, own, manifest))


def _found(laps: Sequence[Lap], turns: Turns) -> Found:
    """The reports of each image, which must be the same in all rounds."""
    found: Found = {}
    for lap in laps:
        reports = found.setdefault(lap.name, {}) if lap.name in turns.replies else {}
        for place, words in _reports(lap, turns):
            if reports.setdefault(place, words) != words:
                reports[place] = _UNSTABLE
    return found


def _reports(lap: Lap, turns: Turns) -> Iterator[tuple[int, Words]]:
    for number, reply in enumerate(turns.replies.get(lap.name, ())):
        first, count = lap.arguments(number)
        if reply.value is not None:  # an encoder gives none
            yield from zip(range(first, first + count), reply.value, strict=True)


def _measurement(group: str, entrant: Entrant, lap: Lap, turns: Turns) -> Measurement:
    replies = turns.replies[lap.name]
    _, count = lap.arguments(0)
    values = [reply.value for reply in replies if reply.value is not None]
    words = [sum(map(len, value)) for value in values]
    return Measurement(
        group=group,
        name=entrant.name,
        seconds=tuple(reply.seconds for reply in replies),
        items=count,
        labels={"system": entrant.system, "precision": entrant.precision},
        words=round(sum(words) / len(words)) if words else None,
        peak_bytes=max(reply.peak_bytes for reply in replies) or None,
    )
