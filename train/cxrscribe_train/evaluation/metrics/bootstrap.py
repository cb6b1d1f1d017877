"""95 % intervals by resampling studies.

Everything that is measured here is a function of sums over films (clipped n-gram counts, scores, true
positives). A resample is therefore a row of weights, how often each film was drawn, and all resamples of one
figure are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95

Weights = NDArray[np.float64]
"""[B, N]: how often each of N films was drawn in each of B resamples."""

Statistic = Callable[[Weights], NDArray[np.float64]]
"""One value for each row of weights, [B]; nan where it is not defined for a resample."""


@dataclass(frozen=True)
class Figure:
    """A value and its 95 % bootstrap interval, low <= value <= high."""

    value: float
    low: float
    high: float
    resampled: NDArray[np.float64] | None = field(default=None, compare=False, repr=False)
    """The value in each resample, [B]; all columns use the same resamples, so that two can be subtracted."""

    @classmethod
    def of(cls, value: float, resampled: NDArray[np.float64]) -> Figure:
        """The percentile interval of `resampled` [B], undefined ones left out, about `value`."""
        defined = resampled[np.isfinite(resampled)]
        if not defined.size:
            return cls(value, value, value, resampled)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        # With few films the quantiles can miss the value by a hair; an interval holds its value.
        return cls(value, min(float(low), value), max(float(high), value), resampled)

    def minus(self, other: Figure) -> Figure:
        """The paired difference: of the values, and in every resample of the same films.

        What two columns have in common, such as films that are hard for both, cancels out. Its interval is
        narrower than the two intervals would suggest.
        """
        value = self.value - other.value
        if self.resampled is None or other.resampled is None:
            return Figure(value, value, value)
        return Figure.of(value, self.resampled - other.resampled)

    def to_json(self, name: str) -> dict[str, object]:
        """`{name: value, name_interval: [low, high]}`."""
        return {name: self.value, f"{name}_interval": [self.low, self.high]}


@dataclass(frozen=True)
class Resamples:
    """The films as they are, and B times drawn anew with all films of a study together.

    Every column of an evaluation uses the same resamples. The percentile method: B. Efron and R. Tibshirani,
    "An Introduction to the Bootstrap" (1993), chapter 13.
    """

    weights: Weights

    @classmethod
    def draw(cls, study_ids: Sequence[str], count: int, seed: int) -> Resamples:
        """Draw `count` times as many studies as there are, with replacement. `study_ids`: one a film."""
        _, study_of_film = np.unique(np.asarray(study_ids), return_inverse=True)
        studies = int(study_of_film.max()) + 1
        drawn = np.random.default_rng(seed).multinomial(studies, np.full(studies, 1 / studies), size=count)
        return cls(drawn[:, study_of_film].astype(np.float64))

    @property
    def films(self) -> int:
        """N, the number of films."""
        return self.weights.shape[1]

    @property
    def as_they_are(self) -> Weights:
        """Every film once: float64 [1, N]."""
        return np.ones((1, self.films))

    def figure(self, statistic: Statistic) -> Figure:
        """Value on the films as they are, and the percentile interval over the resamples."""
        return Figure.of(float(statistic(self.as_they_are)[0]), statistic(self.weights))

    def centred_figure(self, statistic: Statistic, least: float, most: float) -> Figure:
        """The same for a count of distinct things, which every resample makes smaller.

        A resample leaves out more than a third of the studies, so it has fewer distinct reports or words than
        the films as they are. The resamples are shifted so that their mean is the value; their spread stays.
        The interval is cut to `least` .. `most`.
        """
        value = float(statistic(self.as_they_are)[0])
        resampled = statistic(self.weights)
        shift = value - float(np.mean(resampled)) if resampled.size else 0.0
        return Figure.of(value, np.clip(resampled + shift, least, most))


def weighted_mean(scores: NDArray[np.float64]) -> Statistic:
    """Mean of one score a film, [N]."""
    return lambda weights: (weights @ scores) / weights.sum(axis=1)
