"""What searches may produce and how they rank, as arrays: one row for each different BeamSettings in use.

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
from cxrscribe.vocabulary import PAD, START, UNK, Vocabulary

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
    version: int = 0
    """Counts up whenever the table is made anew."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
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

    def row_of(self, settings: BeamSettings) -> int:
        """The row of settings that are in the table."""
        return self._row[settings]

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
        self.one_mask = forbidden[:1].copy()
        self.version += 1
        self._row = {each: place for place, each in enumerate(rows)}
        self._same_mask = not (
            self.min_length.any() or self.no_repeat_ngram.any() or (forbidden != forbidden[:1]).any()
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
