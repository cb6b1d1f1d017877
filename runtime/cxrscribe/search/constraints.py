"""What searches may produce and how they rank: settings as arrays, and the mask of words that may come next.

Rules 2, 3 and 8 of docs/decoding.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import SettingsError
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK, Vocabulary

NO_WORD: Final = -1
"""Fills the words of a hypothesis up."""

_NEVER: Final = np.float32(-np.inf)


class Constraints:
    """A table of settings. C is the number of rows, T the largest max_length among them.

    A search that has made t steps finds its divisors at place `row * stride + t` of the flat tables, so that
    a batch of searches, each at its own step under its own settings, reads them with one `take`.
    """

    stride: int
    """T + 1: places of a row in the flat tables."""
    divisor: NDArray[np.float64]
    """[C * (T + 1)]: `length ** length_penalty` at length t."""
    favourable: NDArray[np.float64]
    """[C * (T + 1)]: divisor of the best score that a hypothesis live after t steps can still reach.

    NaN from max_length on: a quotient that is NaN is never better than anything.
    """
    forbidden: NDArray[np.float32]
    """[C, V]: -inf for the words that are never produced, else 0."""
    one_mask: NDArray[np.float32]
    """[1, V]: the first row of `forbidden`; for all, where `same_mask`."""
    min_length: NDArray[np.int64]
    """[C]: words before `<end>` is allowed."""
    no_repeat_ngram: NDArray[np.int64]
    """[C]: n of each, 0 for none."""
    any_no_repeat: bool
    """Whether any of them is not 0."""
    version: int = 0
    """Counts up whenever the table is made anew."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.one_mask = np.zeros((0, len(vocabulary)), np.float32)
        self.set_rows([])

    def __len__(self) -> int:
        return len(self._row)

    @property
    def settings(self) -> list[BeamSettings]:
        """Those of each row."""
        return list(self._row)

    @property
    def same_mask(self) -> bool:
        """Whether all rows forbid the same words at all times, whatever a report has so far."""
        return self._same_mask

    def __contains__(self, settings: BeamSettings) -> bool:
        return settings in self._row

    def first_entry_of(self, settings: BeamSettings) -> int:
        """Where the row of settings that are in the table begins in the flat tables."""
        return self._row[settings] * self.stride

    def set_rows(self, settings: Iterable[BeamSettings]) -> None:
        """Make the table anew, with a row for each of these. Raises SettingsError for an unknown word."""
        rows = list(dict.fromkeys(settings))
        forbidden = np.zeros((len(rows), len(self._vocabulary)), np.float32)
        forbidden[:, [PAD, START, UNK]] = _NEVER
        for place, each in enumerate(rows):
            forbidden[place, banned_ids(each, self._vocabulary)] = _NEVER
        longest = max((each.max_length for each in rows), default=1)
        self.stride = longest + 1
        self.divisor = np.array([_powers(longest, each.length_penalty) for each in rows], np.float64).reshape(
            -1
        )
        self.favourable = np.array([_favourable(each, longest) for each in rows], np.float64).reshape(-1)
        self.forbidden = forbidden
        self.min_length = np.array([each.min_length for each in rows], np.int64)
        self.no_repeat_ngram = np.array([each.no_repeat_ngram for each in rows], np.int64)
        self.any_no_repeat = bool(self.no_repeat_ngram.any())
        if not np.array_equal(self.one_mask, forbidden[:1]):  # whoever has bound it need not do so again
            self.one_mask = forbidden[:1].copy()
        self.version += 1
        self._row = {each: place for place, each in enumerate(rows)}
        self._same_mask = not (
            self.min_length.any() or self.any_no_repeat or (forbidden != forbidden[:1]).any()
        )


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
    """`length ** length_penalty` for lengths 1 to `longest`, behind a 1 for length 0."""
    # Python's own power: numpy's vector code may round differently from one processor to the next.
    return (1.0, *(float(length) ** length_penalty for length in range(1, longest + 1)))


def _favourable(settings: BeamSettings, longest: int) -> list[float]:
    """`Constraints.favourable` of one row: max_length where a longer report gains, else the next length."""
    divisors = _powers(settings.max_length, settings.length_penalty)
    best = [
        divisors[settings.max_length if settings.length_penalty > 0 else steps + 1]
        for steps in range(settings.max_length)
    ]
    return best + [float("nan")] * (longest + 1 - settings.max_length)


class Prefixes:
    """The words of live hypotheses so far, for searches that may not repeat n-grams.

    Copied from parent to child at every step, so kept only while somebody needs them (`tracked`).
    """

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

    def move(self, moves: list[tuple[int, int]]) -> None:
        """Let images go from one slot to another."""
        for source, target in moves:
            self._words[target] = self._words[source]


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
