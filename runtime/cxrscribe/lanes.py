"""The lanes of one reporter: taken by a call, given back, and used again."""

from __future__ import annotations

from threading import Lock
from typing import Final, Protocol

from cxrscribe.expansion import Expander
from cxrscribe.lane import Lane
from cxrscribe.vocabulary import Vocabulary

IMAGES_AT_ONCE: Final = 32

_IDLE_KEPT: Final = 4


class Decoder(Protocol):
    """Makes expanders, each with a state of its own."""

    def expander(self, padded_images: int) -> Expander:
        """A new one. `padded_images`: compute the rows of at least so many images, used or not."""


class Lanes:
    """Hands out lanes: each call has one to itself, and calls one after the other have the same one.

    Safe to use from several threads.
    """

    def __init__(self, decoder: Decoder, vocabulary: Vocabulary, *, strict: bool) -> None:
        """`strict`: every call of the network has the same rows, whatever is searched for."""
        self._decoder = decoder
        self._vocabulary = vocabulary
        self._strict = strict
        self._idle: list[Lane] = []
        self._lock = Lock()

    def take(self, slots: int) -> Lane:
        """A lane without images, for so many at a time; no more than IMAGES_AT_ONCE where strict."""
        if self._strict:
            slots = min(slots, IMAGES_AT_ONCE)
        with self._lock:
            for place, lane in enumerate(self._idle):
                if lane.slots == slots:
                    return self._idle.pop(place)
        expander = self._decoder.expander(IMAGES_AT_ONCE if self._strict else 0)
        return Lane(expander, self._vocabulary, slots, one_width=self._strict)

    def give_back(self, lane: Lane) -> None:
        """Take a lane back, whatever is left in it."""
        lane.clear()
        with self._lock:
            self._idle.insert(0, lane)
            del self._idle[_IDLE_KEPT:]
