"""Which of several ways is the fastest here, tried when a peer is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final

_ROUNDS: Final = 3
_SECONDS: Final = 0.5
"""Quick calls are tried more often, as long as this takes."""


def least_seconds(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least of several times of each call, after one that doesn't count.

    They take turns, so that what else runs on the machine slows all of them.
    """
    for call in calls.values():
        call()
    least = dict.fromkeys(calls, float("inf"))
    begun, rounds = perf_counter(), 0
    while rounds < _ROUNDS or perf_counter() - begun < _SECONDS:
        for name, call in calls.items():
            started = perf_counter()
            call()
            least[name] = min(least[name], perf_counter() - started)
        rounds += 1
    return least
