"""Which of several ways is the fastest here, tried when a peer is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from cxrscribe_export.precision.speed import seconds_in_turn

_ROUNDS: Final = 3
_SECONDS: Final = 0.5
"""Quick calls are tried more often, as long as this takes."""


def least_seconds(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """The least of several times of each call, in turn, after the warm-up."""
    seconds = seconds_in_turn(list(calls.values()), _ROUNDS, _SECONDS)
    return {name: min(times) for name, times in zip(calls, seconds, strict=True)}
