"""Random numbers that hang on nothing but a seed, an image and a place, and the words that they choose.

docs/decoding.md, "Samples", says what can be relied on.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.step_expander import largest

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
    return (numbers >> _BITS_DROPPED) * _UNIT


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
    is_nan = np.logical_or.reduce(~(log_probs < np.inf), axis=1)  # or above every number, which is no better
    values = log_probs + bias
    if is_nan.any():
        values[is_nan] = -np.inf
    word = np.zeros(len(values), np.int64)
    for count in np.unique(top_k).tolist():
        rows = np.flatnonzero(top_k == count)
        part = values if len(rows) == len(values) else values[rows]
        if 0 < count < part.shape[1]:
            words = np.sort(largest(part, count), axis=1)
            place = _places(np.take_along_axis(part, words, axis=1), temperature[rows], fraction[rows])
            word[rows] = words[np.arange(len(rows)), place]
        else:
            word[rows] = _places(part, temperature[rows], fraction[rows])
    log_prob = values[np.arange(len(values)), word]
    log_prob[is_nan] = np.nan
    return Drawn(word, log_prob)


def _places(
    values: NDArray[np.float32], temperature: NDArray[np.float64], fraction: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Column of each row [R, n] in whose part of the cumulated weights the fraction lies; 0 if all are
    -inf.
    """
    most = values.max(axis=1, keepdims=True)
    most[most == -np.inf] = 0.0  # the weights are all 0 then
    weights = np.subtract(values, most, dtype=np.float64)
    weights /= temperature[:, None]
    np.exp(weights, out=weights)
    # One after the other, so that the sums are the same on every machine that has the same weights.
    cumulated = np.add.accumulate(weights, axis=1, out=weights)
    # Below the last sum, for the fraction is below 1 by at least half of the last sum's last bit; so that a
    # word of weight 0 is never chosen.
    place: NDArray[np.intp] = (cumulated > fraction[:, None] * cumulated[:, -1:]).argmax(axis=1)
    return place
