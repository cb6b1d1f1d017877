"""How much a run measures: the whole suite, or what fits into a minute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from cxrscribe_bench.groups import (
    ENCODER,
    OFFLINE_FEATURES,
    OFFLINE_FILMS,
    PADDLE_DYNAMIC,
    PLAIN_ONNX,
    SINGLE_FILMS,
)
from cxrscribe_bench.loadgen.settings import (
    FULL,
    MULTI_STREAM,
    OFFLINE,
    SERVER,
    SINGLE_STREAM,
    ScenarioSettings,
)
from cxrscribe_bench.parts import scaling
from cxrscribe_bench.parts.real_sizes import Sizes
from cxrscribe_bench.parts.scaling import Scale
from cxrscribe_bench.systems.entrants import PEERS


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
    slow_groups: tuple[str, ...]
    """Groups of measurements in which systems that take seconds for each image take part."""
    peers: tuple[str, ...]
    real_sizes: Sizes
    scenarios: Mapping[str, ScenarioSettings]
    scenarios_at_all_precisions: bool
    """Or at our last precision only."""
    scale: Scale
    startup_rounds: int


WHOLE: Final = Plan(
    images=32,
    few=2,
    rounds=7,
    single_films=16,
    slow_groups=(OFFLINE_FILMS, OFFLINE_FEATURES, SINGLE_FILMS, ENCODER),
    peers=PEERS,
    real_sizes=Sizes(drawn=4, films=16),
    scenarios=FULL,
    scenarios_at_all_precisions=True,
    scale=scaling.FULL,
    startup_rounds=9,
)

# LoadGen asks for more queries than fit into a minute before it calls a percentile VALID.
_BRIEF: Final = ScenarioSettings(300, 1, most_seconds=3)

QUICK: Final = Plan(
    images=4,
    few=1,
    rounds=2,
    single_films=4,
    slow_groups=(OFFLINE_FILMS,),
    peers=(PADDLE_DYNAMIC, PLAIN_ONNX),
    real_sizes=Sizes(drawn=1, films=2),
    scenarios={
        SINGLE_STREAM: _BRIEF,
        MULTI_STREAM: _BRIEF,
        OFFLINE: _BRIEF,
        SERVER: replace(_BRIEF, target_latency_percentile=0.99, most_runs=2),
    },
    scenarios_at_all_precisions=False,
    scale=replace(scaling.QUICK, vocabularies=(), threads=(), film_sizes=()),
    startup_rounds=1,
)
