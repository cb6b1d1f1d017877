"""Random numbers that depend on a seed, an image and a place alone, and the words that they choose.

docs/decoding.md, "Samples", says what can be relied on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

# SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9))
_SECOND: Final = (np.uint64(27), np.uint64(0x94D049BB133111EB))
_LAST_SHIFT: Final = np.uint64(31)
_BITS_DROPPED: Final = np.uint64(11)  # a float64 has 53 of 64
_UNIT: Final = 2.0**-53


def stream_of(features: NDArray[np.float32], seed: int) -> int:
    """The start of an image's random numbers, from 0 to 2**64 - 1.

    `features`: float32 [F], or [F + P] with the patient's numbers; `seed`: from 0 to 2**63 - 1.
    """
    content = features.astype("<f4").tobytes()
    digest = blake2b(content, digest_size=8, salt=seed.to_bytes(16, "little")).digest()
    return int.from_bytes(digest, "little")


def number(start: NDArray[np.uint64], place: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The `place`-th number, from 0 on, of the generator that was started at `start`; arrays of one shape."""
    mixed = start + (place.astype(np.uint64) + np.uint64(1)) * _GAMMA
    for shift, factor in (_FIRST, _SECOND):
        mixed ^= mixed >> shift
        mixed *= factor
    mixed ^= mixed >> _LAST_SHIFT
    return mixed


def as_fraction(numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers of 64 bits as float64 from 0 to below 1."""
    fraction: NDArray[np.float64] = (numbers >> _BITS_DROPPED).astype(np.float64)
    fraction *= _UNIT
    return fraction


class Drawn(NamedTuple):
    """A word for each row."""

    word: NDArray[np.int64]
    """[R]."""
    log_prob: NDArray[np.float32]
    """[R]: the word's own log-probability; -inf where no word is allowed, NaN where the network gave NaN."""


def draw_words(
    log_probs: NDArray[np.float32],
    bias: NDArray[np.float32],
    temperature: NDArray[np.float64],
    top_k: NDArray[np.int64],
    fraction: NDArray[np.float64],
) -> Drawn:
    """One word a row, by the rules of docs/decoding.md, "Samples".

    `log_probs`: float32 [R, V]; `bias`: float32 [1 or R, V], 0 or -inf; `temperature`, `top_k`: of each row;
    `fraction`: where in the cumulated weights the word lies, float64 [R] from 0 to below 1.

    Weights are cumulated in the order of words' ids: which word a fraction hits then changes with last bits
    of the log-probabilities only where it lies right at the border of two.
    """
    values = log_probs + bias
    most = values.max(axis=1)
    is_nan = ~(most < np.inf)  # or above every number, which is no better
    if is_nan.any():
        values[is_nan] = -np.inf
    most[~(np.abs(most) < np.inf)] = 0.0  # the weights are all 0 then
    word = np.zeros(len(values), np.int64)
    for count in np.unique(top_k).tolist():
        rows = np.flatnonzero(top_k == count)
        part = values if len(rows) == len(values) else values[rows]
        settings = most[rows], temperature[rows], fraction[rows]
        if 0 < count < part.shape[1]:
            words = _most_probable(part, count)
            place = _places(np.take_along_axis(part, words, axis=1), *settings)
            word[rows] = words[np.arange(len(rows)), place]
        else:
            word[rows] = _places(part, *settings)
    log_prob = values[np.arange(len(values)), word]
    log_prob[is_nan] = np.nan
    return Drawn(word, log_prob)


def _most_probable(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """Columns [R, count] of the largest of `values` [R, n], in ascending order; of equals the lower ones."""
    least = np.partition(values, values.shape[1] - count, axis=1)[:, -count, None]  # count-th largest
    chosen = values >= least
    (crowded,) = (np.count_nonzero(chosen, axis=1) > count).nonzero()  # of the equal ones, some are too many
    if len(crowded):
        level = values[crowded] == least[crowded]
        above = chosen[crowded] & ~level
        room = count - np.count_nonzero(above, axis=1)[:, None]
        chosen[crowded] = above | (level & (np.cumsum(level, axis=1) <= room))
    columns: NDArray[np.intp] = chosen.nonzero()[1].reshape(len(values), count)
    return columns


def _places(
    values: NDArray[np.float32],
    most: NDArray[np.float32],
    temperature: NDArray[np.float64],
    fraction: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Column of each row [R, n] in whose part of the cumulated weights the fraction lies; 0 if all are
    -inf. `most`: the largest value of each row.
    """
    weights = np.subtract(values, most[:, None], dtype=np.float64)
    weights /= temperature[:, None]
    np.exp(weights, out=weights)
    # One after the other, so that equal weights have equal sums on every machine.
    cumulated = np.add.accumulate(weights, axis=1, out=weights)
    # A fraction is below 1 by so much that the product is below the last sum, and so a word of weight 0 is
    # never chosen.
    place: NDArray[np.intp] = (cumulated > fraction[:, None] * cumulated[:, -1:]).argmax(axis=1)
    return place
