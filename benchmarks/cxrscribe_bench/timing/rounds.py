"""Several things timed in turn, by name, so that the machine's noise hits all alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from cxrscribe_export.precision.speed import seconds_in_turn

_RESAMPLES: Final = 2000


def rounds(things: Mapping[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Seconds of each thing in each of `count` rounds, after those that warm up."""
    return dict(zip(things, seconds_in_turn(list(things.values()), count), strict=True))


def ratio(seconds: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over the rounds of `one`'s time divided by `other`'s in the same round."""
    return median(mine / theirs for mine, theirs in zip(seconds[one], seconds[other], strict=True))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    chance = random.Random(0)
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return medians[_RESAMPLES // 40], medians[-_RESAMPLES // 40]
