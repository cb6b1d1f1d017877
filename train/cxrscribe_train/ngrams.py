"""N-grams of words and BLEU, for the figures of an evaluation and for what a training is rewarded by.

The formula, its two small constants included, is that of `pycocoevalcap.bleu`, to which a test holds it.
K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

ORDERS: Final = 4
"""Longest n-gram counted."""
SMOOTHING: Final = 0.3
"""Matches that `sentence_bleu` adds to every order, so that one without any doesn't make the whole 0."""
_SMALL: Final = 1e-9
_TINY: Final = 1e-15

Words = tuple[str, ...]
Ngram = tuple[str, ...]


def ngrams(words: Sequence[str]) -> Counter[Ngram]:
    """How often each n-gram of 1 to 4 words occurs."""
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, ORDERS + 1)
        for start in range(len(words) - order + 1)
    )


def bleu(
    correct: NDArray[np.float64],
    total: NDArray[np.float64],
    report_length: NDArray[np.float64],
    reference_length: NDArray[np.float64],
) -> NDArray[np.float64]:
    """BLEU-1 to BLEU-4, [B, 4], of B corpora given by their sums: [B, 4], [B, 4], [B], [B]."""
    precision = np.cumprod((correct + _TINY) / (total + _SMALL), axis=1)
    geometric_mean = precision ** (1 / np.arange(1, ORDERS + 1))
    ratio = (report_length + _TINY) / (reference_length + _SMALL)
    with np.errstate(under="ignore"):
        brevity = np.exp(np.minimum(0.0, 1 - 1 / np.maximum(ratio, _TINY)))
    return geometric_mean * brevity[:, None]


def sentence_bleu(
    report: Sequence[str],
    allowed: Mapping[Ngram, int],
    reference_length: int,
    smoothing: float = SMOOTHING,
) -> float:
    """BLEU-4 of one report by itself, smoothed: each order's precision is (correct + s) / (total + s).

    Smoothing after C.-Y. Lin and F. J. Och, "ORANGE: a method for evaluating automatic evaluation metrics for
    machine translation", COLING 2004, who add 1 and not to single words.

    Args:
        report: its words; an empty one scores 0.
        allowed: how often each n-gram occurs in the reference, as `ngrams` counts.
        reference_length: in words, at least 1.
        smoothing: s, above 0.
    """
    if not report:
        return 0.0
    correct = [0] * ORDERS
    for ngram, count in ngrams(report).items():
        correct[len(ngram) - 1] += min(count, allowed.get(ngram, 0))
    logarithm = sum(
        math.log((correct[order] + smoothing) / (max(0, len(report) - order) + smoothing))
        for order in range(ORDERS)
    )
    return math.exp(logarithm / ORDERS + min(0.0, 1 - reference_length / len(report)))
