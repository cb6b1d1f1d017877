"""The schedulers of one reporter: taken by a call, given back, and used again."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final, Protocol

from cxrscribe.search.scheduler import Scheduler
from cxrscribe.search.step_expander import Expander
from cxrscribe.vocabulary import Vocabulary

IMAGES_AT_ONCE: Final = 32

_IDLE_KEPT: Final = 4
_LARGE_BYTES: Final = 64 << 20


class Decoder(Protocol):
    """Makes expanders, each with a state of its own."""

    def expander(self, padded_images: int) -> Expander:
        """A new one. `padded_images`: compute the rows of at least so many images, used or not."""


class Schedulers:
    """Hands out schedulers: each call has one to itself, and calls one after the other have the same one.

    Safe to use from several threads.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, *, strict: bool) -> None:
        """`strict`: every call of the network has the same rows, whatever is searched for."""
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._strict = strict
        # A stream that is collected gives its scheduler back in the middle of anything: no lock.
        self._idle: deque[Scheduler] = deque()

    def take(self, slots: int) -> Scheduler:
        """A scheduler without images, for so many at a time; no more than IMAGES_AT_ONCE where strict."""
        if self._strict:
            slots = min(slots, IMAGES_AT_ONCE)
        others: list[Scheduler] = []
        try:
            while True:
                scheduler = self._idle.pop()
                if scheduler.slots == slots:
                    return scheduler
                others.append(scheduler)
        except IndexError:
            pass
        finally:
            self._idle.extend(others)
        expander = self._decoder.expander(IMAGES_AT_ONCE if self._strict else 0)
        return Scheduler(expander, self._vocabulary, slots, one_width=self._strict)

    def give_back(self, scheduler: Scheduler) -> None:
        """Take a scheduler back, whatever images are left in it. One that has grown very large is let go."""
        scheduler.clear()
        if scheduler.held_bytes > _LARGE_BYTES:
            return
        self._idle.append(scheduler)
        if len(self._idle) > _IDLE_KEPT:
            with suppress(IndexError):
                self._idle.popleft()
