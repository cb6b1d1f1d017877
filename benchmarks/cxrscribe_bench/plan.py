"""How much a run measures: the whole suite, or what fits into a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cxrscribe_bench import scaling
from cxrscribe_bench.entrants import PEERS
from cxrscribe_bench.groups import PADDLE_DYNAMIC, PLAIN_ONNX
from cxrscribe_bench.loadgen.settings import (
    FULL,
    MULTI_STREAM,
    OFFLINE,
    SERVER,
    SINGLE_STREAM,
    ScenarioSettings,
)
from cxrscribe_bench.scaling import Scale


@dataclass(frozen=True)
class Plan:
    """Sizes and repetitions."""

    images: int
    """Films, and rows of features, of one round."""
    few: int
    """Images of a round for a system that takes seconds for each."""
    rounds: int
    single_films: int
    """Films that are reported on one by one."""
    peers: tuple[str, ...]
    scenarios: Mapping[str, ScenarioSettings]
    scale: Scale
    startup_rounds: int


WHOLE: Final = Plan(
    images=32,
    few=2,
    rounds=7,
    single_films=16,
    peers=PEERS,
    scenarios=FULL,
    scale=scaling.FULL,
    startup_rounds=9,
)

# LoadGen asks for more queries than fit into a minute before it calls a percentile VALID.
_BRIEF: Final = ScenarioSettings(500, 1, most_seconds=3)

QUICK: Final = Plan(
    images=8,
    few=1,
    rounds=3,
    single_films=4,
    peers=(PADDLE_DYNAMIC, PLAIN_ONNX),
    scenarios={
        SINGLE_STREAM: _BRIEF,
        MULTI_STREAM: _BRIEF,
        OFFLINE: _BRIEF,
        SERVER: replace(_BRIEF, target_latency_percentile=0.99, most_runs=2),
    },
    scale=scaling.QUICK,
    startup_rounds=1,
)
