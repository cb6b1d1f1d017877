"""The settings of a batch of images as arrays: what each image's search may produce, and how it ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import SettingsError
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK, Vocabulary

_NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class Constraints:
    """Beam settings of A images, one entry an image along the first axis of every array."""

    beam_width: NDArray[np.int64]
    """[A]: K of each."""
    max_length: NDArray[np.int64]
    """[A]: most steps of each."""
    min_length: NDArray[np.int64]
    """[A]: words before `<end>` is allowed."""
    favours_length: NDArray[np.bool_]
    """[A]: whether length_penalty is above 0."""
    divisor: NDArray[np.float64]
    """[A, T + 1]: `length ** length_penalty` at place `length`."""
    no_repeat_ngram: NDArray[np.int64]
    """[A]: n of each, 0 for none."""
    forbidden: NDArray[np.float32]
    """[A, V]: -inf for the words that are never produced, else 0."""

    @classmethod
    def of(cls, settings: Sequence[BeamSettings], vocabulary: Vocabulary) -> Constraints:
        """Arrays of one BeamSettings an image. Raises SettingsError for a banned word that doesn't exist."""
        max_length = np.array([each.max_length for each in settings], np.int64)
        longest = int(max_length.max(initial=1))
        forbidden = np.zeros((len(settings), len(vocabulary)), np.float32)
        forbidden[:, [PAD, START, UNK]] = _NEVER
        for image, each in enumerate(settings):
            forbidden[image, banned_ids(each, vocabulary)] = _NEVER
        return cls(
            beam_width=np.array([each.beam_width for each in settings], np.int64),
            max_length=max_length,
            min_length=np.array([each.min_length for each in settings], np.int64),
            favours_length=np.array([each.length_penalty > 0 for each in settings], np.bool_),
            divisor=np.array([_powers(longest, each.length_penalty) for each in settings], np.float64),
            no_repeat_ngram=np.array([each.no_repeat_ngram for each in settings], np.int64),
            forbidden=forbidden,
        )

    def images(self, which: NDArray[np.intp]) -> Constraints:
        """The settings of these images only, in this order."""
        return Constraints(
            self.beam_width[which],
            self.max_length[which],
            self.min_length[which],
            self.favours_length[which],
            self.divisor[which],
            self.no_repeat_ngram[which],
            self.forbidden[which],
        )

    def score(self, log_prob: NDArray[np.float32], length: NDArray[np.int64]) -> NDArray[np.float64]:
        """`log_prob / length ** length_penalty` in float64; both arguments and the result [A, J]."""
        divisor = np.take_along_axis(self.divisor, length, axis=1)
        score: NDArray[np.float64] = log_prob.astype(np.float64) / divisor
        return score

    def bias(self, words: NDArray[np.int64]) -> NDArray[np.float32]:
        """0, or -inf where the next word is forbidden.

        `words`: [A, K, t], what each live hypothesis has so far. Float32 [1, V] where all rows have the same
        limits, else [A * K, V].
        """
        images, places, length = words.shape
        bias = self.forbidden.copy()  # [A, V]
        bias[length < self.min_length, END] = _NEVER
        repeats = bool(self.no_repeat_ngram.any())
        if not repeats and bool((bias == bias[:1]).all()):
            return bias[:1]
        rows = np.repeat(bias, places, axis=0)  # [A * K, V]
        if repeats:
            self._forbid_repeats(rows, words.reshape(images * places, length))
        return rows

    def _forbid_repeats(self, bias: NDArray[np.float32], words: NDArray[np.int64]) -> None:
        """Set -inf in `bias` [rows, V] at words that would repeat an n-gram of `words` [rows, t]."""
        rows, length = words.shape
        n_of_row = np.repeat(self.no_repeat_ngram, rows // len(self.no_repeat_ngram))
        for n in np.unique(n_of_row[(n_of_row > 0) & (n_of_row <= length)]).tolist():
            concerned = np.flatnonzero(n_of_row == n)
            grams = np.lib.stride_tricks.sliding_window_view(words[concerned], n, axis=1)  # [rows', t-n+1, n]
            begun = words[concerned, None, length - n + 1 :]  # [rows', 1, n-1]
            row, place = np.nonzero((grams[:, :, : n - 1] == begun).all(axis=2))
            bias[concerned[row], grams[row, place, n - 1]] = _NEVER


def banned_ids(settings: BeamSettings, vocabulary: Vocabulary) -> list[int]:
    """Ids of the banned words. Raises SettingsError where the vocabulary doesn't have one."""
    for word in settings.banned_words:
        if word not in vocabulary:
            raise SettingsError(
                f"banned_words has {word!r}, which is not one of the model's {len(vocabulary)} words; "
                "remove it, or write it as the vocabulary does"
            )
    return vocabulary.encode(settings.banned_words)


@lru_cache(maxsize=64)
def _powers(longest: int, length_penalty: float) -> tuple[float, ...]:
    # Python's own power: numpy's vector code may round differently from one processor to the next.
    return (1.0, *(float(length) ** length_penalty for length in range(1, longest + 1)))
