"""Statistics of timings: percentiles, medians of ratios, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95
PERCENTILES: Final = (50, 90, 99)
_RESAMPLES: Final = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval at `CONFIDENCE`.

    By the bootstrap: Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7 (1979).
    """

    value: float
    low: float
    high: float

    @property
    def is_exact(self) -> bool:
        """Whether there was one sample only, so that nothing is known about its spread."""
        return self.low == self.high

    def to_json(self) -> dict[str, float]:
        """The fields as JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}


def percentile(values: Sequence[float], percent: float) -> Estimate:
    """A percentile (linear between samples) of at least one value."""
    array = np.asarray(values, np.float64)
    resampled = np.percentile(_resamples(array), percent, axis=1)
    return _estimate(float(np.percentile(array, percent)), resampled)


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Median of the ratios of two things timed in the same rounds, so many of each."""
    ratios = np.asarray(numerators, np.float64) / np.asarray(denominators, np.float64)
    if ratios.ndim != 1:
        raise ValueError(f"{len(numerators)} and {len(denominators)} samples don't come from the same rounds")
    return percentile(ratios.tolist(), 50)


def ratio_of_medians(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Ratio of the medians of two things that were timed apart, each with its own noise."""
    above, below = (np.asarray(values, np.float64) for values in (numerators, denominators))
    value = float(np.median(above) / np.median(below))
    resampled = np.median(_resamples(above, 1), axis=1) / np.median(_resamples(below, 2), axis=1)
    return _estimate(value, resampled)


def _resamples(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """[_RESAMPLES, n]: drawn with replacement, the same each time."""
    places = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    drawn: NDArray[np.float64] = values[places]
    return drawn


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))
