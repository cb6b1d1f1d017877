"""Which words may come next, for each row of a batch of searches (docs/decoding.md, rule 3)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.constraints import Constraints
from cxrscribe.vocabulary import END

NO_WORD: Final = -1
"""Fills the words of a hypothesis up."""

_NEVER: Final = np.float32(-np.inf)


class Mask:
    """The bias that is added to log-probabilities: 0, or -inf where a word is forbidden.

    As long as the same bias holds, it is the same array, unless n-grams may not repeat.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._bias = np.zeros((0, 0), np.float32)  # [1, V] or [A * K, V], n-grams left out
        self._with_ngrams = np.zeros((0, 0), np.float32)

    def of(
        self,
        constraints: Constraints,
        row: NDArray[np.int64],
        steps: NDArray[np.int64],
        places: int,
        words: NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Float32 [1, V] where all rows are limited alike, else [A * K, V].

        `row` [A]: of each image in `constraints`; `steps` [A]: how many words its hypotheses have; `places`:
        K; `words` [A, K, t]: which words, filled up with NO_WORD; looked at only for images that may not
        repeat n-grams.
        """
        no_end = steps < constraints.min_length[row]
        ngram = constraints.no_repeat_ngram[row]
        repeats = bool(ngram.any())
        key = (constraints.version, row.tobytes(), no_end.tobytes(), places, repeats)
        if key != self._key:
            bias = constraints.forbidden[row]  # [A, V]
            bias[no_end, END] = _NEVER
            alike = not repeats and bool((bias == bias[0]).all())
            self._bias = bias[:1].copy() if alike else np.repeat(bias, places, axis=0)
            self._with_ngrams = np.empty_like(self._bias)
            self._key = key
        if not repeats:
            return self._bias
        self._with_ngrams[:] = self._bias
        _forbid_repeats(self._with_ngrams, np.repeat(ngram, places), np.repeat(steps, places), words)
        return self._with_ngrams


def _forbid_repeats(
    bias: NDArray[np.float32], ngram: NDArray[np.int64], length: NDArray[np.int64], words: NDArray[np.int64]
) -> None:
    """Set -inf in `bias` [rows, V] at words that would repeat an n-gram.

    `ngram`, `length` [rows]: n of each row, and how many words it has; `words` [A, K, t]: which.
    """
    words = words.reshape(len(bias), -1)
    for n in np.unique(ngram[(ngram > 0) & (ngram <= length)]).tolist():
        concerned = np.flatnonzero((ngram == n) & (length >= n))
        grams = np.lib.stride_tricks.sliding_window_view(words[concerned], n, axis=1)  # [rows', t - n + 1, n]
        last = length[concerned, None] - n + 1 + np.arange(n - 1)
        begun = words[concerned[:, None], last][:, None]  # [rows', 1, n - 1]
        repeated = (grams[:, :, : n - 1] == begun).all(axis=2) & (grams[:, :, n - 1] != NO_WORD)
        row, place = np.nonzero(repeated)
        bias[concerned[row], grams[row, place, n - 1]] = _NEVER
