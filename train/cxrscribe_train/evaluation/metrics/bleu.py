"""Corpus BLEU from counts a film, so that resampling it is adding.

A test holds it to `pycocoevalcap.bleu`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bootstrap import Statistic, Weights
from cxrscribe_train.ngrams import ORDERS, Ngram, Words, bleu, ngrams

__all__ = ["ORDERS", "BleuCounts", "Ngram", "Words", "bleu", "ngrams"]


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
