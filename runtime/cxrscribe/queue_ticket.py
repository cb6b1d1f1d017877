"""A request to a queue: its films until they are read, and its answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxrscribe.errors import FilmError
from cxrscribe.film_requests import Encode
from cxrscribe.films.isolation import Decoding
from cxrscribe.films.levels import Picture
from cxrscribe.indications import Indications
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings
from cxrscribe.shared_model import SharedModel
from cxrscribe.study import Image
from cxrscribe.wanted import Gathered, Wanted

if TYPE_CHECKING:
    from cxrscribe.films.film import FilmSource


@dataclass(frozen=True)
class QueueParts:
    """What a queue has of the reporter that made it."""

    model: SharedModel
    read: Callable[[FilmSource], Picture]
    encode: Encode
    indications: Indications
    wanted: Callable[[Image, BeamSettings | None, str | None], Wanted]
    """Checks what a request asks for. Raises as `Reporter.report` does."""
    readers: int
    """Threads that read films."""
    on_read: Callable[[float], None] | None = None
    """Told how many seconds each film took to read, on the thread that read it."""


@dataclass(eq=False)
class Ticket:
    """A request that was accepted, until its report is there."""

    wanted: Wanted
    left: int
    """Films that haven't been read."""
    films: list[FilmSource | None] = field(default_factory=list)
    """Those that no reader has taken yet; None for the others."""
    future: Future[Report] = field(default_factory=Future)
    readings: list[Future[Picture | FilmError]] = field(default_factory=list)
    gathered: Gathered = field(default_factory=Gathered)
    decoding: Decoding = field(default_factory=Decoding)
    """Its films that are being decoded in processes of their own."""
    number: int | None = None
    """What the scheduler calls it; None before it gets there."""

    def let_go(self) -> None:
        """Nobody waits for it: its films aren't kept until a reader comes to them, which can take long."""
        self.films = [None] * len(self.films)
        for reading in self.readings:
            reading.cancel()
        self.decoding.let_go()
