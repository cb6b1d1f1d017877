"""The four scenarios of MLPerf LoadGen, and how long and under which bounds each is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb
from typing import Final

from cxrscribe.errors import InputError

SINGLE_STREAM: Final = "SingleStream"
MULTI_STREAM: Final = "MultiStream"
OFFLINE: Final = "Offline"
SERVER: Final = "Server"
SCENARIOS: Final = (SINGLE_STREAM, MULTI_STREAM, OFFLINE, SERVER)

_CONFIDENCE: Final = 0.99
"""LoadGen's, of early stopping."""
_NANOSECONDS: Final = 1e9


def early_stopping_queries(percentile: float, over: int) -> int:
    """Queries that LoadGen asks for before it believes a percentile with `over` queries beyond it.

    It wants to be 99 % sure: the fewest n of which at most `over` lie beyond the percentile with a
    probability below 1 %. SingleStream and MultiStream set 1 aside, Server those that missed its bound.
    https://github.com/mlcommons/inference_policies, MLPerf Inference Rules, appendix on early stopping.
    """
    count = over + 1
    while _at_most(over, count, 1 - percentile) > 1 - _CONFIDENCE:
        count += 1
    return count


def _at_most(most: int, count: int, probability: float) -> float:
    """That at most so many of `count` events happen, each by itself with that probability."""
    return sum(comb(count, k) * probability**k * (1 - probability) ** (count - k) for k in range(most + 1))


@dataclass(frozen=True)
class ScenarioSettings:
    """How one scenario is run; names with an underscore in them are LoadGen's own, less the scenario's."""

    min_duration_ms: int
    min_query_count: int
    """Queries, but in Offline samples of its only query."""
    target_latency_percentile: float = 0.9
    """What SingleStream and MultiStream report, and what Server's bound is on. Not used by Offline."""
    max_duration_ms: int = 0
    """After which nothing more is issued; 0 for no end but the two above. Can make a run INVALID."""
    samples_per_query: int = 8
    """Of MultiStream."""
    target_latency_ns: int | None = None
    """Of Server, which needs one: the bound on the percentile of latency."""
    most_runs: int = 6
    """Of Server: how many rates are tried."""
    most_seconds: float = 300.0
    """Of Server: no further rate is tried that would take it beyond this; each wants all of its queries."""
    rate_precision: float = 0.1
    """Of Server: no further rate is tried once a VALID one is so near, relatively, to an INVALID one."""

    def __post_init__(self) -> None:
        for name in ("min_duration_ms", "min_query_count", "samples_per_query", "most_runs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give at least 1")
        if not 0 < self.target_latency_percentile < 1:
            raise InputError(
                f"target_latency_percentile is {self.target_latency_percentile}; give one between 0 and 1"
            )
        if self.max_duration_ms < 0:
            raise InputError(f"max_duration_ms is {self.max_duration_ms}; give 0 for none, or more")
        if self.target_latency_ns is not None and self.target_latency_ns < 1:
            raise InputError(f"target_latency_ns is {self.target_latency_ns}; give at least 1")
        for name in ("most_seconds", "rate_precision"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}; give more than 0")

    def server_seconds(self, rate: float) -> float:
        """How long Server takes to issue its queries at this rate."""
        return max(self.min_duration_ms / 1000, self.min_query_count / rate)

    def given(self, scenario: str, rate: float) -> Mapping[str, float]:
        """What LoadGen is told, by its own names. `rate`: queries a second that it shall reckon with.

        In Offline they are samples a second; in Server they are those that it issues.
        Raises InputError for a scenario that doesn't exist, or Server without a bound.
        """
        settings: dict[str, float] = {
            "min_duration_ms": self.min_duration_ms,
            "min_query_count": self.min_query_count,
        }
        if self.max_duration_ms:
            settings["max_duration_ms"] = self.max_duration_ms
        percentile = self.target_latency_percentile
        if scenario == SINGLE_STREAM:
            settings["single_stream_expected_latency_ns"] = _NANOSECONDS / rate
            settings["single_stream_target_latency_percentile"] = percentile
        elif scenario == MULTI_STREAM:
            settings["multi_stream_expected_latency_ns"] = _NANOSECONDS / rate
            settings["multi_stream_target_latency_percentile"] = percentile
            settings["multi_stream_samples_per_query"] = self.samples_per_query
        elif scenario == OFFLINE:
            settings["offline_expected_qps"] = rate
        elif scenario == SERVER:
            if self.target_latency_ns is None:
                raise InputError("Server has no bound on latency; give target_latency_ns")
            settings["server_target_qps"] = rate
            settings["server_target_latency_ns"] = self.target_latency_ns
            settings["server_target_latency_percentile"] = percentile
        else:
            raise InputError(f"there is no scenario {scenario!r}; there are {', '.join(SCENARIOS)}")
        return settings


# 64 queries are the fewest with which a 90th percentile can be VALID. For a 99th 459 are, but only if none
# misses the bound; of 662 one may. MultiStream's is the 90th, not LoadGen's own 99th: 662 queries of 8 films
# each take minutes.
QUICK: Final[Mapping[str, ScenarioSettings]] = {
    SINGLE_STREAM: ScenarioSettings(1000, early_stopping_queries(0.9, 1)),
    MULTI_STREAM: ScenarioSettings(1000, early_stopping_queries(0.9, 1)),
    OFFLINE: ScenarioSettings(1000, 1),
    SERVER: ScenarioSettings(1000, early_stopping_queries(0.99, 1), 0.99, most_runs=4, most_seconds=60),
}
"""About a second a run, where queries are fast enough. Server needs its bound: `dataclasses.replace`."""
FULL: Final[Mapping[str, ScenarioSettings]] = {
    SINGLE_STREAM: ScenarioSettings(15_000, early_stopping_queries(0.9, 1)),
    MULTI_STREAM: ScenarioSettings(15_000, early_stopping_queries(0.9, 1)),
    OFFLINE: ScenarioSettings(15_000, 1),
    SERVER: ScenarioSettings(15_000, early_stopping_queries(0.99, 1), 0.99),
}
"""About 15 seconds a run, else as QUICK."""
