"""Timing several things in turn, so that the machine's noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter


def rounds(things: Mapping[str, Callable[[], object]], count: int) -> dict[str, list[float]]:
    """Seconds of each thing in each of `count` rounds, after one round that warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for number in range(count + 1):
        for name, thing in things.items():
            started = perf_counter()
            thing()
            if number:
                seconds[name].append(perf_counter() - started)
    return seconds


def ratio(seconds: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over the rounds of `one`'s time divided by `other`'s in the same round."""
    return median(mine / theirs for mine, theirs in zip(seconds[one], seconds[other], strict=True))
