"""The hypotheses of a batch of searches: the steps that live ones have come, and the finished ones.

`History` holds what every step chose, as links to the step before, and traces a hypothesis' words back.
`Pool` holds the n_best best finished ones of each image: docs/decoding.md, rule 7.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

_ARRAYS: Final = ("_index", "_token_log_prob")
_NONE: Final = -np.inf


class Hypothesis(NamedTuple):
    """A word sequence. docs/decoding.md, rules 7, 10 and 11, says how these are ranked."""

    words: list[int]
    """Ids, without `<end>`."""
    token_log_probs: list[float]
    """Natural log-probability of each word, and of `<end>` where it is finished."""
    log_prob: float
    """Their sum, added one after the other in float32."""
    score: float
    """`log_prob / length ** length_penalty`."""
    finished: bool
    """Whether it ends with `<end>`."""


class History:
    """A ring of steps: back-pointers instead of copies of all words at every step."""

    def __init__(self, slots: int) -> None:
        """Room for `slots` images; the sizes of the rest follow what is asked for."""
        self._slots = slots
        self._now = 0  # entry of the ring that the next step is written to
        self._index = np.zeros((0, slots, 0), np.int64)  # [T, slots, K]: rank of the parent * V + word
        self._token_log_prob = np.zeros((0, slots, 0), np.float32)  # [T, slots, K]

    @property
    def held_bytes(self) -> int:
        """Memory of the ring."""
        return self._index.nbytes + self._token_log_prob.nbytes

    def reserve(self, steps: int, places: int) -> None:
        """Make room for images of `steps` steps and `places` hypotheses; what is there stays."""
        held_steps, _, held_places = self._index.shape
        if steps <= held_steps and places <= held_places:
            return
        # Oldest first, so that the ring starts at 0 and has its new entries behind the newest.
        oldest_first = np.roll(np.arange(held_steps), -self._now)
        steps, places = max(steps, held_steps), max(places, held_places)
        grown = {}
        for name in _ARRAYS:
            array = getattr(self, name)
            grown[name] = np.zeros((steps, self._slots, places), array.dtype)
            grown[name][:held_steps, :, :held_places] = array[oldest_first]
        for name, array in grown.items():
            setattr(self, name, array)
        self._now = held_steps % steps

    def add(self, images: int, places: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Add one step of the first `images` slots; gives the arrays [A, K] to write it to.

        They are, for each live hypothesis, the rank of its parent * V + word, and the word's log-probability.
        """
        now = self._now
        self._now = (now + 1) % len(self._index)
        return self._index[now, :images, :places], self._token_log_prob[now, :images, :places]

    def move(self, source: list[int], target: list[int]) -> None:
        """Let the images in the slots `source` go on in the slots `target`."""
        for name in _ARRAYS:
            array = getattr(self, name)
            array[:, target] = array[:, source]

    def trace(
        self, slot: int, steps: int, length: int, rank: int, vocabulary_size: int
    ) -> tuple[list[int], list[float]]:
        """Words, and their log-probabilities, of the hypothesis that was live at `rank` after `length` steps.

        `steps`: how many the image in `slot` has made by now.
        """
        first = (self._now - steps) % len(self._index)
        came_from = _part(self._index, first, length, slot)
        log_probs = _part(self._token_log_prob, first, length, slot)
        words, word_log_probs = [0] * length, [0.0] * length
        # One report's words, once: a step of the search has no loop like this.
        for step in range(length - 1, -1, -1):
            word_log_probs[step] = log_probs[step][rank]
            rank, words[step] = divmod(came_from[step][rank], vocabulary_size)
        return words, word_log_probs


def _part(ring: NDArray[np.generic], first: int, length: int, slot: int) -> Sequence[Sequence[Any]]:
    """Entries [length, K] of a slot, from entry `first` on."""
    behind = max(first + length - len(ring), 0)  # of them stand at the ring's beginning
    part: list[list[Any]] = ring[first : first + length, slot].tolist()
    return part + ring[:behind, slot].tolist() if behind else part


class Ending(NamedTuple):
    """A finished hypothesis: a live one, and `<end>`. Their order is the pool's."""

    minus_score: float
    length: int
    """Tokens, `<end>` included; of equal scores the shorter finished at an earlier step."""
    position: int
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
