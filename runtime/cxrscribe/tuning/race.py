"""Timing of several things that do the same, in turn: what slows one slows all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Final, TypeVar

from cxrscribe.errors import CxrscribeError
from cxrscribe.json_object import JsonObject

Runner = TypeVar("Runner")

ROUNDS: Final = 9
"""Enough for medians, where there is time for them."""
_LEAST_ROUNDS: Final = 2
_HOPELESS: Final = 2.0
"""Times the best, at every size, from which on a first impression decides."""
_BEHIND: Final = 1.25
"""The same for medians of some rounds."""
_OPENING_SHARE: Final = 0.7
"""Of the time, after which nobody else is opened."""

Runs = Mapping[str, Callable[[], object]]
"""What to time, by size: `1 film`."""


@dataclass(frozen=True)
class Contender:
    """Somebody who takes part."""

    name: str
    open: Callable[[], Runs]
    """Raises CxrscribeError where it doesn't work here."""


@dataclass(frozen=True)
class Lap:
    """What became of a contender."""

    name: str
    milliseconds: Mapping[str, float]
    """Medians, by size; empty where it wasn't timed."""
    rounds: int
    """That they are medians of; 1 for a first impression."""
    problem: str = ""
    """Why it wasn't timed."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "name": self.name,
            "milliseconds": dict(self.milliseconds),
            "rounds": self.rounds,
            "problem": self.problem,
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Lap:
        """Read what `to_json` gave. Raises the document's error."""
        times = fields.object("milliseconds")
        return fields.make(
            cls,
            name=fields.text("name"),
            milliseconds={size: times.number(size) for size in times.names()},
            rounds=fields.integer("rounds"),
            problem=fields.text("problem"),
        )


@dataclass
class Clock:
    """How much time there is."""

    seconds: float
    now: Callable[[], float] = perf_counter
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.now()

    def is_past(self, share: float = 1.0) -> bool:
        """Whether that share of it is over."""
        return self.now() - self.begun > share * self.seconds


@dataclass
class _Runner:
    name: str
    runs: Runs
    times: dict[str, list[float]] = field(default_factory=dict)

    def run(self, now: Callable[[], float]) -> None:
        for size, run in self.runs.items():
            started = now()
            run()
            self.times.setdefault(size, []).append(1000 * (now() - started))

    @property
    def medians(self) -> dict[str, float]:
        return {size: median(times) for size, times in self.times.items()}

    def lap(self) -> Lap:
        return Lap(self.name, self.medians, min(map(len, self.times.values()), default=0))


def turns(runners: MutableSequence[Runner], rounds: Iterable[int]) -> Iterator[tuple[int, Runner]]:
    """Who is to run next, and in which round: each runner once a round, so that what slows one slows all.

    Each round begins with another one, for whoever runs first may find the caches empty. A runner that is
    taken out of `runners` meanwhile has no more turns.
    """
    for number in rounds:
        shift = number % max(len(runners), 1)
        for runner in [*runners[shift:], *runners[:shift]]:
            if runner in runners:
                yield number, runner


def race(
    contenders: Sequence[Contender], clock: Clock, told: Callable[[str], None] = lambda name: None
) -> list[Lap]:
    """Time all of them in turn, as long as the clock allows; who is hopeless is let go early.

    The likeliest winner is best given first: whoever hasn't been opened when most of the time is over isn't
    timed at all. `told`: called with the name of whoever is opened.
    """
    running: list[_Runner] = []
    laps: dict[str, Lap] = {}
    for contender in contenders:
        name = contender.name
        if running and clock.is_past(_OPENING_SHARE):
            laps[name] = Lap(name, {}, 0, "there was no time for it")
            continue
        told(name)
        try:
            runner = _Runner(name, contender.open())
            runner.run(clock.now)  # which comes but once: memory, threads, shapes
            runner.times.clear()
            runner.run(clock.now)
        except (CxrscribeError, MemoryError) as error:
            laps[name] = Lap(name, {}, 0, str(error) or "there was not enough memory")
            continue
        laps[name] = runner.lap()
        running.append(runner)
        running = _still_in(running, _HOPELESS)
        del runner  # one that is out holds a network
    for number in range(ROUNDS):
        if not running or clock.is_past() or (len(running) == 1 and number >= _LEAST_ROUNDS):
            break
        for _, runner in turns(running, [number]):
            runner.run(clock.now)
            laps[runner.name] = runner.lap()
        if number + 1 >= _LEAST_ROUNDS:
            running = _still_in(running, _BEHIND)
    return [laps[contender.name] for contender in contenders]


def _still_in(running: Sequence[_Runner], behind: float) -> list[_Runner]:
    """Those that aren't that many times as slow as somebody else at every size."""
    times = [runner.medians for runner in running]
    return [
        runner
        for runner, mine in zip(running, times, strict=True)
        if not any(all(mine[size] > behind * theirs[size] for size in mine) for theirs in times)
    ]
