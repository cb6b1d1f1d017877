"""The finished hypotheses of a batch of searches, the n_best best of each: docs/decoding.md, rule 7."""

from __future__ import annotations

from bisect import insort
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_NONE: Final = -np.inf


class Ending(NamedTuple):
    """A finished hypothesis: a live one, and `<end>`. Their order is the pool's."""

    minus_score: float
    length: int
    """Tokens, `<end>` included; of equal scores the shorter finished at an earlier step."""
    place: int
    """Among the candidates of its step; of equal scores the better candidate is first."""
    rank: int
    """Of the hypothesis that ended, among those that were live."""
    log_prob: float
    end_log_prob: float
    """Of `<end>`."""


class Pool:
    """One pool a slot, best first; of equal scores, the earlier finished first.

    Few candidates get as far as here: they are put in one by one.
    """

    worst: NDArray[np.float64]
    """[slots]: score that a hypothesis has to be above to enter; -inf while there is room."""

    def __init__(self, slots: int) -> None:
        self.worst = np.full(slots, _NONE)
        self._endings: list[list[Ending]] = [[] for _ in range(slots)]

    def clear(self, slot: int) -> None:
        """Begin anew in a slot."""
        self.worst[slot] = _NONE
        self._endings[slot] = []

    def move(self, source: list[int], target: list[int]) -> None:
        """Let the pools in the slots `source` go on in the slots `target`."""
        self.worst[target] = self.worst[source]
        for there, here in zip(target, source, strict=True):
            self._endings[there] = self._endings[here]

    def enter(self, slot: int, most: int, ending: Ending) -> None:
        """Let a hypothesis that just finished in; the pool keeps the `most` best."""
        endings = self._endings[slot]
        insort(endings, ending)
        del endings[most:]
        if len(endings) == most:
            self.worst[slot] = -endings[-1].minus_score

    def of(self, slot: int) -> list[Ending]:
        """The pool of a slot, best first."""
        return self._endings[slot]
