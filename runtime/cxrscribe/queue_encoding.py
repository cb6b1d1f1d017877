"""Encoding the films of a queue beside its searches, on a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from threading import Condition, RLock, Thread
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import FilmError
from cxrscribe.films.levels import Picture
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.queue_ticket import QueueParts, Ticket
from cxrscribe.stats import DecodingStats

Start: TypeAlias = tuple[Ticket, NDArray[np.float32]]
"""A request, and what its search starts from: float32 [F] or [F + P]."""

_STEPS_PATIENT: Final = 8
"""Steps that the searches under way make before a film that is alone is encoded: with others it takes less.

Measured with 16 clients in a closed loop on a quiet machine, rates by that of `report_stream`: of the demo
0.72 with 3 steps, 0.71 with 8, 0.66 with 16; of ResNet-101 in int8 0.78, 0.81 and 0.84.
"""


class QueueEncoding:
    """Encodes films that have been read, a few at a time, while searches go on.

    Where both take turns, each search waits for the encoder, and few clients at a time are answered later.

    All but `thread` is for who holds `lock`, which guards it.
    """

    def __init__(
        self,
        parts: QueueParts,
        stats: DecodingStats,
        lock: RLock,
        encoded: Condition,
        answer: Callable[[Iterable[Ticket], BaseException], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        """`encoded`: is told when requests have been. `answer`: gives requests an error in place of a report.

        `fail`: is told of what nothing goes on after.
        """
        self._parts = parts
        self._stats = stats
        self._encoded = encoded
        self._answer = answer
        self._fail = fail
        self._changed = Condition(lock)
        self._read: deque[Ticket] = deque()
        self._starts: list[Start] = []
        self._is_searching = False
        self._patience = _STEPS_PATIENT  # steps that are left to wait for more films
        self._is_over = False
        self.thread = Thread(target=self._run, name="cxrscribe-encode", daemon=True)
        self.thread.start()

    @property
    def has_starts(self) -> bool:
        """Whether any request has been encoded, and not been taken."""
        return bool(self._starts)

    def add(self, ticket: Ticket) -> None:
        """Encode it: all of its films have been read."""
        self._read.append(ticket)
        self._let_begin()

    def take(self) -> list[Start]:
        """What has been encoded since."""
        starts, self._starts = self._starts, []
        self._let_begin()
        return starts

    def before_step(self, *, is_searching: bool) -> None:
        """The searches make a step, or there are none to make one."""
        self._is_searching = is_searching
        if self._read:
            self._patience -= 1
            self._let_begin()

    def end(self) -> None:
        """Begin nothing more."""
        self._is_over = True
        self._changed.notify()

    def _let_begin(self) -> None:
        if self._may_begin:
            self._changed.notify()

    @property
    def _may_begin(self) -> bool:
        # What waits for a place in the search need not be encoded yet.
        if not self._read or len(self._starts) >= FILMS_AT_ONCE:
            return False
        return not self._is_searching or self._patience <= 0 or len(self._read) >= FILMS_AT_ONCE

    def _run(self) -> None:
        try:
            while self._encode_next():
                pass
        except BaseException as error:
            self._fail(error)

    def _encode_next(self) -> bool:
        """Whether there was anything to encode; else it is over.

        While more is awaited, nothing of it is kept.
        """
        batch = self._batch()
        if batch is None:
            return False
        try:
            self._encode(batch)
        except Exception as error:
            self._parts.model.require_open()
            self._answer(batch, error)
        return True

    def _batch(self) -> list[Ticket] | None:
        """The next ones; None once it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_over or self._may_begin)
            if self._is_over:
                return None
            self._patience = _STEPS_PATIENT
            batch: list[Ticket] = []
            films = 0
            while self._read and films < FILMS_AT_ONCE:
                ticket = self._read.popleft()
                if not ticket.future.done():
                    batch.append(ticket)
                    films += len(ticket.readings)
            return batch

    def _encode(self, batch: list[Ticket]) -> None:
        read: list[tuple[Ticket, list[Picture | FilmError]]] = []
        for ticket in batch:
            try:
                read.append((ticket, [reading.result() for reading in ticket.readings]))
            except BaseException as error:  # no FilmError: of this request alone, whatever it is
                self._answer([ticket], error)
            ticket.readings.clear()
        pictures = [film.pixels for _, films in read for film in films if not isinstance(film, FilmError)]
        self._stats.films += sum(len(films) for _, films in read)
        self._stats.film_errors += sum(len(films) for _, films in read) - len(pictures)
        features = iter(self._parts.encode(pictures, self._stats))
        starts: list[Start] = []
        for ticket, films in read:
            for film in films:
                ticket.gathered.add(film, features)
            unread = ticket.gathered.error()
            if unread is None:
                starts.append((ticket, ticket.gathered.start(ticket.wanted, self._parts.indications)))
            else:
                self._answer([ticket], unread)
        if starts:
            with self._encoded:
                self._starts += starts
                self._encoded.notify()
