"""What LoadGen is told, how many queries it wants, and which rates a server is tried at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_bench.loadgen.server_rate import highest_rate
from cxrscribe_bench.loadgen.settings import (
    FULL,
    MULTI_STREAM,
    QUICK,
    SCENARIOS,
    SERVER,
    SINGLE_STREAM,
    ScenarioSettings,
    early_stopping_queries,
)


@pytest.mark.parametrize(
    ("percentile", "over", "queries"), [(0.9, 1, 64), (0.99, 1, 662), (0.99, 0, 459), (0.9, 0, 44)]
)
def test_queries_of_early_stopping_are_those_of_the_rules(percentile: float, over: int, queries: int) -> None:
    assert early_stopping_queries(percentile, over) == queries


@pytest.mark.parametrize("presets", [QUICK, FULL])
def test_presets_allow_a_valid_run(presets: dict[str, ScenarioSettings]) -> None:
    assert tuple(presets) == SCENARIOS
    for scenario in (SINGLE_STREAM, MULTI_STREAM, SERVER):
        settings = presets[scenario]
        over = 0 if scenario == SERVER else 1
        needed = early_stopping_queries(settings.target_latency_percentile, over)
        assert settings.min_query_count >= needed


def test_settings_go_by_loadgens_names() -> None:
    module = pytest.importorskip("mlperf_loadgen", reason="needs mlcommons-loadgen")
    settings = ScenarioSettings(1000, 64, 0.95, max_duration_ms=9000, target_latency_ns=5)
    names = {name for scenario in SCENARIOS for name in settings.given(scenario, 4.0)}
    assert all(hasattr(module.TestSettings(), name) for name in names)
    assert settings.given(SINGLE_STREAM, 4.0) == {
        "min_duration_ms": 1000,
        "min_query_count": 64,
        "max_duration_ms": 9000,
        "single_stream_expected_latency_ns": 250_000_000,
        "single_stream_target_latency_percentile": 0.95,
    }


@pytest.mark.parametrize(
    "values",
    [
        {"min_duration_ms": 0},
        {"min_query_count": 0},
        {"samples_per_query": 0},
        {"most_runs": 0},
        {"target_latency_percentile": 1.0},
        {"rate_precision": 0.0},
        {"most_seconds": 0.0},
        {"max_duration_ms": -1},
        {"target_latency_ns": 0},
    ],
)
def test_impossible_settings_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(values))):
        ScenarioSettings(**{"min_duration_ms": 1, "min_query_count": 1, **values})


@given(limit=st.floats(0.1, 1000), start=st.floats(0.5, 200), most_runs=st.integers(1, 12))
def test_the_highest_rate_is_the_best_of_those_that_were_valid(
    limit: float, start: float, most_runs: int
) -> None:
    tried: list[float] = []

    def is_valid(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    best = highest_rate(is_valid, _always, start, most_runs, 0.1)
    valid = [rate for rate in tried if rate <= limit]
    assert best == max(valid, default=None)
    assert 1 <= len(tried) <= most_runs
    assert len(set(tried)) == len(tried)


@given(limit=st.floats(10, 100))
def test_with_enough_runs_the_rate_is_as_precise_as_asked(limit: float) -> None:
    best = highest_rate(lambda rate: rate <= limit, _always, 100.0, 40, 0.05)
    assert best is not None
    assert best <= limit <= best * 1.05


def test_a_server_that_stands_no_rate_is_given_up() -> None:
    tried: list[float] = []
    assert highest_rate(lambda rate: bool(tried.append(rate)), _always, 64.0, 100, 0.1) is None
    assert tried == [64, 32, 16, 8, 4, 2, 1]


def test_a_rate_for_which_there_is_no_time_is_not_tried() -> None:
    tried: list[float] = []
    slowest = ScenarioSettings(1000, 100).server_seconds(16.0)
    assert slowest == 6.25

    def has_time(rate: float) -> bool:
        return ScenarioSettings(1000, 100).server_seconds(rate) <= slowest

    assert highest_rate(lambda rate: bool(tried.append(rate)), has_time, 64.0, 100, 0.1) is None
    assert tried == [64, 32, 16]
    assert highest_rate(lambda _: True, lambda _: False, 1.0, 100, 0.1) == 1.0


def _always(_: float) -> bool:
    return True
