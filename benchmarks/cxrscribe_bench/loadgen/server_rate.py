"""The highest rate of queries that a server stands."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Final

_LOWEST: Final = 1 / 64
"""Of the rate that the search starts from: below, it gives up."""
_UP: Final = 1.25
_DOWN: Final = 0.5


def highest_rate(
    is_valid: Callable[[float], bool],
    has_time: Callable[[float], bool],
    start: float,
    most_runs: int,
    precision: float,
) -> float | None:
    """The highest rate that was found valid, or None where none was; each call of `is_valid` is a run.

    Goes up or down from `start` until it has a valid rate below an invalid one, then halves the interval
    between them, geometrically, until they are `precision` apart, relatively, or `most_runs` are spent, or
    there is no time for the next rate; `start` is tried in any case. No rate is tried twice, so what noise
    made of one stays.
    """
    valid: float | None = None
    invalid: float | None = None
    rate = start
    for run in range(most_runs):
        if run and not has_time(rate):
            break
        if is_valid(rate):
            valid = rate
        else:
            invalid = rate
        if valid is None:
            rate *= _DOWN
            if rate < start * _LOWEST:
                break
        elif invalid is None:
            rate *= _UP
        elif invalid <= valid * (1 + precision):
            break
        else:
            rate = sqrt(valid * invalid)
    return valid
