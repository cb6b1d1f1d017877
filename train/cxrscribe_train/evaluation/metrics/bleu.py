"""Corpus BLEU from counts a film, so that resampling it is adding.

The formula, its two small constants included, is that of `pycocoevalcap.bleu`, to which a test holds it.
K. Papineni et al., "BLEU: a method for automatic evaluation of machine translation", ACL 2002.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bootstrap import Statistic, Weights

ORDERS: Final = 4
"""Longest n-gram counted."""
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


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU needs to know of each of N films.

    correct, total: float64 [N, 4], the report's n-grams that the reference has too (clipped), and all.
    report_length, reference_length: float64 [N], in words.
    """

    correct: NDArray[np.float64]
    total: NDArray[np.float64]
    report_length: NDArray[np.float64]
    reference_length: NDArray[np.float64]

    @classmethod
    def of(cls, reports: Sequence[Words], references: Sequence[Words]) -> BleuCounts:
        """Count. `reports` and `references` belong together one by one."""
        correct = np.zeros((len(reports), ORDERS))
        for film, (report, reference) in enumerate(zip(reports, references, strict=True)):
            allowed = ngrams(reference)
            for ngram, count in ngrams(report).items():
                correct[film, len(ngram) - 1] += min(count, allowed[ngram])
        lengths = np.array([len(report) for report in reports], dtype=np.float64)
        return cls(
            correct=correct,
            total=np.maximum(0, lengths[:, None] - np.arange(ORDERS)),
            report_length=lengths,
            reference_length=np.array([len(reference) for reference in references], dtype=np.float64),
        )

    def statistic(self, order: int) -> Statistic:
        """BLEU with n-grams up to `order`, of any resample."""

        def measure(weights: Weights) -> NDArray[np.float64]:
            return bleu(
                weights @ self.correct,
                weights @ self.total,
                weights @ self.report_length,
                weights @ self.reference_length,
            )[:, order - 1]

        return measure


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
