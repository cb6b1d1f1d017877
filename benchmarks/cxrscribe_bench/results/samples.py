"""Statistics of timings: percentiles, medians of ratios, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.json_object import JsonObject

CONFIDENCE: Final = 0.95
PERCENTILES: Final = (50, 90, 99)
_RESAMPLES: Final = 2000
_BLOCKS: Final = 20
_TRIMMED: Final = 0.2
_ANGLES: Final = 2001


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval at `CONFIDENCE`.

    By the bootstrap: Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7 (1979).
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_one(cls, value: float) -> Estimate:
        """A figure of whose spread nothing is known."""
        return cls(value, value, value)

    @property
    def is_exact(self) -> bool:
        """Whether there was one sample only, so that nothing is known about its spread."""
        return self.low == self.high

    def to_json(self) -> dict[str, float]:
        """The fields as JSON values."""
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Estimate:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls, value=fields.number("value"), low=fields.number("low"), high=fields.number("high")
        )


def percentile(values: Sequence[float], percent: float) -> Estimate:
    """A percentile (linear between samples) of at least one value."""
    array = np.asarray(values, np.float64)
    resampled = np.percentile(_resamples(array), percent, axis=1)
    return _estimate(float(np.percentile(array, percent)), resampled)


def median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Median of the ratios of two things timed in the same rounds, so many of each."""
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} and {len(denominators)} samples don't come from the same rounds")
    ratios = np.asarray(numerators, np.float64) / np.asarray(denominators, np.float64)
    return percentile(ratios.tolist(), 50)


def ratio_of_medians(numerators: Sequence[float], denominators: Sequence[float]) -> Estimate:
    """Ratio of the medians of two things that were timed apart, each with its own noise."""
    return ratio_of_products([numerators], [denominators])


def ratio_of_products(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Estimate:
    """Product of the medians of `above` over that of `below`: all timed apart, each with its own noise.

    Say, a time in multiples of another one of the same run, over the same of another run.
    """
    value, resampled = 1.0, np.ones(_RESAMPLES)
    for seed, (values, power) in enumerate([(each, 1) for each in above] + [(each, -1) for each in below], 1):
        array = np.asarray(values, np.float64)
        value *= float(np.median(array)) ** power
        resampled = resampled * np.median(_resamples(array, seed), axis=1) ** power
    return _estimate(value, resampled)


def blocks(values: Sequence[float]) -> tuple[float, ...]:
    """Medians of consecutive samples, where there are many: those that follow each other share one mood of
    the machine, and so are no independent samples of its noise."""
    if len(values) < 2 * _BLOCKS:
        return tuple(values)
    edges = [len(values) * place // _BLOCKS for place in range(_BLOCKS + 1)]
    return tuple(median(values[start:end]) for start, end in pairwise(edges))


def doubt(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]], limit: float) -> float:
    """How probable samples like these are at most if their ratio_of_products is no more than `limit`.

    A bootstrap of a few samples knows nothing beyond the largest of them, and so is too sure of itself far
    out, where many figures are compared. Hence the t test of Yuen, The Two-Sample Trimmed t for Unequal
    Population Variances, Biometrika 61 (1974), on logarithms: one sample in five is cut off at either end.
    At least two samples of each have to be left.
    """
    logs = [(np.log(each), 1) for each in above] + [(np.log(each), -1) for each in below]
    difference, variance, shares = -math.log(limit), 0.0, 0.0
    for values, sign in logs:
        mean, squared_error, freedom = _trimmed_mean(values)
        difference += sign * mean
        variance += squared_error
        shares += squared_error**2 / freedom
    if variance == 0:
        return float(difference <= 0)
    return _t_tail(difference / math.sqrt(variance), variance**2 / shares)


def below_doubt(doubts: Sequence[float], level: float) -> list[bool]:
    """Which of several findings to believe, so that with probability 1 - `level` all of those are true.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6
    (1979).
    """
    believed = [False] * len(doubts)
    for done, place in enumerate(sorted(range(len(doubts)), key=doubts.__getitem__)):
        if doubts[place] > level / (len(doubts) - done):
            break
        believed[place] = True
    return believed


def _trimmed_mean(values: NDArray[np.float64]) -> tuple[float, float, int]:
    """The mean of what is left, the square of its standard error, and the degrees of freedom of that."""
    ordered = np.sort(values)
    cut = int(_TRIMMED * len(ordered))
    left = ordered[cut : len(ordered) - cut]
    winsorized = np.clip(ordered, left[0], left[-1])
    squares = float(((winsorized - winsorized.mean()) ** 2).sum())
    return float(left.mean()), squares / (len(left) * (len(left) - 1)), len(left) - 1


def _t_tail(t: float, freedom: float) -> float:
    """Probability of Student's t above `t`: the density, integrated over the angle whose tangent t is."""
    half = (freedom + 1) / 2
    scale = math.exp(math.lgamma(half) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    angles = np.linspace(math.atan(t / math.sqrt(freedom)), math.pi / 2, _ANGLES)
    return scale * float(np.trapezoid(np.cos(angles) ** (freedom - 1), angles))


def _resamples(values: NDArray[np.float64], seed: int = 0) -> NDArray[np.float64]:
    """[_RESAMPLES, n]: drawn with replacement, the same each time."""
    places = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    drawn: NDArray[np.float64] = values[places]
    return drawn


def _estimate(value: float, resampled: NDArray[np.float64]) -> Estimate:
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(resampled, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))
