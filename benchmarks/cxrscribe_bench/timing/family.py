"""Processor seconds of a process with all that it starts, directly or not, as Linux tells them.

What a parent is told of its children (`os.times`) isn't enough: a helper that doesn't wait for the processes
that it starts, as Ray's do, keeps their times to itself.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import thread_time
from types import TracebackType
from typing import Final, Self

_PROCESSES: Final = Path("/proc")
_LOOK_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Seen:
    """A process at one moment."""

    parent: int
    name: str
    seconds: float
    """Of the processor, since it began."""
    began: int
    """In the system's ticks; with its number it tells one process from another."""


class Family:
    """A context manager: what this process and its descendants take from the processor meanwhile.

    They are looked at ten times a second, so that of one that ends a tenth of a second may be missed. What
    looking costs isn't counted.
    """

    def __init__(self) -> None:
        self._before: dict[tuple[int, int], Seen] = {}
        self._last: dict[tuple[int, int], Seen] = {}
        self._spent_looking = 0.0
        self._ended = Event()
        self._looker = Thread(target=self._look_on, name="cxrscribe-family", daemon=True)

    @property
    def seconds(self) -> float:
        """Processor seconds between the two ends of the block."""
        begun = sum(seen.seconds for seen in self._before.values())
        return sum(seen.seconds for seen in self._last.values()) - begun - self._spent_looking

    @property
    def younger_seconds(self) -> float:
        """The same of this process and of those alone that weren't there before."""
        older = [key for key in self._before if key[0] != os.getpid()]
        spent = sum(self._last[key].seconds - self._before[key].seconds for key in older)
        return self.seconds - spent

    def began(self, name: str) -> int:
        """How many processes whose name begins like this have been seen that weren't there before."""
        return sum(seen.name.startswith(name) for key, seen in self._last.items() if key not in self._before)

    def __enter__(self) -> Self:
        self._look()
        self._before = dict(self._last)
        self._looker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._looker.join()
        self._look()

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._look()
        self._spent_looking = thread_time()

    def _look(self) -> None:
        there = processes()
        family = {number for number, _ in self._last} | {os.getpid()}
        grown = True
        while grown:
            found = {number for number, seen in there.items() if seen.parent in family}
            grown = not found <= family
            family |= found
        self._last |= {(each, there[each].began): there[each] for each in family & there.keys()}


def processes() -> dict[int, Seen]:
    """All processes of this machine that may be seen, by number."""
    found = {}
    ticks = os.sysconf("SC_CLK_TCK")
    for folder in _PROCESSES.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                name, _, rest = (folder / "stat").read_text(errors="replace").rpartition(")")
                fields = rest.split()
                seconds = (int(fields[11]) + int(fields[12])) / ticks  # see proc(5)
                name = name.partition("(")[2]
                found[int(folder.name)] = Seen(int(fields[1]), name, seconds, int(fields[19]))
    return found


def idle_seconds() -> float:
    """Seconds in which a core of this machine had nothing to do, since it began; of all cores together."""
    fields = (_PROCESSES / "stat").read_text(encoding="ascii").split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")
