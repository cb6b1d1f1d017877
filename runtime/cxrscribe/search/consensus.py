"""How well each of several reports of one image agrees with the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def agreements(reports: Sequence[Sequence[int]], vocabulary_size: int) -> NDArray[np.float64]:
    """From 0 to 1 for each of S reports, float64 [S]: the mean of its F1 with each of the others.

    `reports`: word ids of each, at least one; a single one has 0. F1 of two reports is the mean of that of
    their words and that of their adjacent pairs of words, each counted as often as it occurs: twice what they
    have in common, over what they have in all. Two reports that both have no word, or no pair, agree in that.
    """
    words = [np.asarray(report, np.int64) for report in reports]
    pairs = [each[:-1] * vocabulary_size + each[1:] for each in words]
    share = (_f1(words) + _f1(pairs)) / 2  # [S, S], 1 with itself
    mean: NDArray[np.float64] = (share.sum(axis=1) - 1) / max(len(reports) - 1, 1)
    return mean


def _f1(items: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """F1 [S, S] of each two of S multisets."""
    lengths = np.array([len(each) for each in items])
    kinds, kind = np.unique(np.concatenate(items), return_inverse=True)
    places = np.repeat(np.arange(len(items)), lengths) * len(kinds) + kind
    counts = np.bincount(places, minlength=len(items) * len(kinds)).reshape(len(items), len(kinds))
    common = np.zeros((len(items), len(items)), np.float32)
    # The smaller of two counts is the number of levels that both reach. Products of zeros and ones are whole
    # numbers, exact in float32 however they are added up.
    for level in range(1, int(counts.max(initial=0)) + 1):
        reached = (counts >= level).astype(np.float32)
        common += reached @ reached.T
    total = lengths[:, None] + lengths
    f1: NDArray[np.float64] = np.where(total > 0, 2.0 * common / np.maximum(total, 1), 1.0)
    return f1
