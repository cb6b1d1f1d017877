"""The words of live hypotheses so far, for searches that may not repeat n-grams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.mask import NO_WORD


class Prefixes:
    """Copied from parent to child at every step, so kept only while somebody needs them (`tracked`)."""

    def __init__(self, slots: int) -> None:
        self._words = np.full((slots, 1, 1), NO_WORD, np.int64)  # [slots, K, T]
        self.tracked = False
        """Whether `begin` and `extend` are called. Images that entered before it was set have no words."""

    def of(self, images: int, places: int) -> NDArray[np.int64]:
        """[A, K, T]: words of each live hypothesis, filled up with NO_WORD."""
        return self._words[:images, :places]

    def reserve(self, steps: int, places: int) -> None:
        """Make room for `places` hypotheses of `steps` words; what is there stays."""
        slots, held_places, held_steps = self._words.shape
        if steps > held_steps or places > held_places:
            grown = np.full((slots, max(places, held_places), max(steps, held_steps)), NO_WORD, np.int64)
            grown[:, :held_places, :held_steps] = self._words
            self._words = grown

    def begin(self, slot: int) -> None:
        """Begin anew in a slot."""
        self._words[slot] = NO_WORD

    def extend(self, rank: NDArray[np.int64], word: NDArray[np.int64], steps: NDArray[np.int64]) -> None:
        """Append to the parents of these ranks [A, K] these words [A, K], as the `steps`-th [A]."""
        images, places = rank.shape
        words = self._words[:images, :places]
        children = np.take_along_axis(words, rank[:, :, None], axis=1)
        children[np.arange(images)[:, None], np.arange(places), steps[:, None] - 1] = word
        words[:] = children

    def move(self, source: list[int], target: list[int]) -> None:
        """Let the images in the slots `source` go on in the slots `target`."""
        self._words[target] = self._words[source]
