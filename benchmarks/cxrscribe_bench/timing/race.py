"""Several processes timed in turn, round by round, so that the machine's noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrscribe.errors import CxrscribeError
from cxrscribe.tuning.race import turns
from cxrscribe_bench.systems.entrants import Entrant
from cxrscribe_bench.timing.worker import Reply, Worker
from cxrscribe_bench.workload import Workload

Note = Callable[[str], None]


Arguments = Callable[[int], tuple[int, ...]]
"""For a round, counted from 0: what the method is called with, the first place and the number of images."""


@dataclass(frozen=True)
class Lap:
    """One thing that has its turn in every round: a method of a worker's subject, on some images."""

    name: str
    worker: Worker
    method: str
    arguments: Arguments


@dataclass
class Turns:
    """What the rounds gave, by the laps' names, in the rounds' order."""

    replies: dict[str, list[Reply]]
    """Of those that went through all rounds."""
    failed: dict[str, str] = field(default_factory=dict)
    """Laps that failed at some round, and how."""


def take_turns(laps: Sequence[Lap], rounds: Iterable[int]) -> Turns:
    """Let every lap run once in each round, each round beginning with another one.

    `rounds` counts from 0; the first one warms up, and its replies are not kept. A lap that fails is out of
    the race; the others go on.
    """
    found = Turns({lap.name: [] for lap in laps})
    running = list(laps)
    # The round that warms up is like the first one that counts: the same arguments, and the same lap begins.
    for turn in rounds:
        number = max(turn - 1, 0)
        for _, lap in turns(running, [number]):
            try:
                reply = lap.worker.call(lap.method, *lap.arguments(number))
            except CxrscribeError as error:
                found.failed[lap.name] = str(error)
                del found.replies[lap.name]
                running.remove(lap)
                continue
            if turn:
                found.replies[lap.name].append(reply)
    return found


def places_of(count: int, at_once: int) -> Arguments:
    """The images of each round: `at_once` of `count`, one part after another, from the first again."""
    at_once = min(at_once, count)
    parts = count // at_once
    return lambda number: (number % parts * at_once, at_once)


class Field:
    """Entrants, each opened in a process of its own on the same workload. A context manager.

    Those that can't be opened are left out: `absent` says why.
    """

    def __init__(
        self, entrants: Iterable[Entrant], workload: Workload, logs: Path, note: Note = lambda text: None
    ) -> None:
        self.workers: dict[str, Worker] = {}
        self.entrants: dict[str, Entrant] = {}
        self.absent: dict[str, str] = {}
        self.details: dict[str, Mapping[str, str]] = {}
        try:
            for entrant in entrants:
                note(f"opening {entrant.name}")
                self._open(entrant, workload, logs)
        except BaseException:
            self.close()
            raise

    def laps(self, method: str, count: int, at_once: int, few: int) -> list[Lap]:
        """A lap for each entrant: a method of System on `at_once` images, or `few` where it is slow."""
        return [
            Lap(name, self.workers[name], method, places_of(count, few if entrant.few else at_once))
            for name, entrant in self.entrants.items()
        ]

    def __enter__(self) -> Field:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self.workers.values():
            worker.close()

    def _open(self, entrant: Entrant, workload: Workload, logs: Path) -> None:
        name = entrant.name
        try:
            self.workers[name] = Worker(
                name,
                entrant.opener,
                workload,
                entrant.precision,
                log=logs / f"{name.replace('/', '-')}.log",
            )
            self.details[name] = self.workers[name].call("details").value
        except CxrscribeError as error:
            self.absent[name] = str(error)
            return
        self.entrants[name] = entrant
