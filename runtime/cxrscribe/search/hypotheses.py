"""The hypotheses of a batch of searches: the steps that live ones have come, and the finished ones.

`History` holds what every step chose, as links to the step before, and traces a hypothesis' words back.
`Pool` holds the n_best best finished ones of each image: docs/decoding.md, rule 7.
"""

from __future__ import annotations

import math
from bisect import insort
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

_ARRAYS: Final = ("_index", "_token_log_prob")

Path: TypeAlias = list[tuple[int, int]]
"""Where an image has been: (step, slot), the slot from that step on. The first entry is its first step."""


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
    """A ring of steps: back-pointers instead of copies of all words at every step.

    An image that takes another slot leaves its steps where they are; its path says where.
    """

    def __init__(self, slots: int) -> None:
        """Room for `slots` images; the sizes of the rest follow what is asked for."""
        self._slots = slots
        self.steps = 0
        """Of all searches so far; step t is entry t modulo T of the ring."""
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
        steps, places = max(steps, held_steps), max(places, held_places)
        held = np.arange(max(self.steps - held_steps, 0), self.steps)
        for name in _ARRAYS:
            array = getattr(self, name)
            grown = np.zeros((steps, self._slots, places), array.dtype)
            if held_steps:
                grown[held % steps, :, :held_places] = array[held % held_steps]
            setattr(self, name, grown)

    def add(self, images: int, places: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Add one step of the first `images` slots; gives the arrays [A, K] to write it to.

        They are, for each live hypothesis, the rank of its parent * V + word, and the word's log-probability.
        """
        entry = self.steps % len(self._index)
        self.steps += 1
        return self._index[entry, :images, :places], self._token_log_prob[entry, :images, :places]

    def trace(
        self, path: Path, length: int, rank: int, vocabulary_size: int
    ) -> tuple[list[int], list[float]]:
        """Words, and their log-probabilities, of the hypothesis that was live at `rank` after `length` steps.

        `path`: of its image.
        """
        index, log_prob, entries = self._index.item, self._token_log_prob.item, len(self._index)
        words, log_probs = [0] * length, [0.0] * length
        begun = path[0][0]
        behind = begun + length
        # One report's words, once: a step of the search has no loop like this.
        for first, slot in reversed(path):
            for step in range(behind - 1, first - 1, -1):
                place = (step % entries, slot, rank)
                log_probs[step - begun] = log_prob(*place)
                rank, words[step - begun] = divmod(index(*place), vocabulary_size)
            behind = min(behind, first)
        return words, log_probs


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
    """The finished hypotheses of one image, best first; of equal scores, the earlier finished first.

    Few candidates get as far as here: they are put in one by one.
    """

    def __init__(self, most: int) -> None:
        """`most`: how many it keeps."""
        self._most = most
        self.endings: list[Ending] = []
        """Best first."""
        self.worst = -math.inf
        """Score that a hypothesis has to be above to enter; -inf while there is room."""

    def enter(self, ending: Ending) -> None:
        """Let a hypothesis that just finished in."""
        insort(self.endings, ending)
        del self.endings[self._most :]
        if len(self.endings) == self._most:
            self.worst = -self.endings[-1].minus_score
