"""Two runs held against each other: noise and a slower machine are no verdict, a slower program is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from cxrscribe.errors import InputError
from cxrscribe_bench.groups import FLOOR, PADDLE_DYNAMIC, SINGLE_FILMS
from cxrscribe_bench.results.comparison import Comparison, Verdict, compare
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record, ScenarioResult, TokenCheck
from cxrscribe_bench.results.samples import doubt

FLOORS = ("encoder products", "decoder products", "encoder bytes", "decoder bytes")


def run(
    seed: int,
    *,
    figures: int = 80,
    samples: int = 7,
    ours: float = 1.0,
    machine: float = 1.0,
    spread: float = 0.03,
    floors: bool = True,
) -> Record:
    """A run of log-normal noise: `ours` times the work, on a machine that takes `machine` times as long."""
    random = np.random.default_rng(seed)

    def seconds(median: float) -> tuple[float, ...]:
        return tuple((median * np.exp(spread * random.standard_normal(samples))).tolist())

    timed = [Measurement("stages", f"figure {n}", seconds(0.1 * ours * machine)) for n in range(figures)]
    if floors:
        timed += [Measurement(FLOOR, name, seconds(0.01 * machine)) for name in FLOORS]
    return record(*timed)


def record(*measurements: Measurement, **fields: object) -> Record:
    base = Record(
        environment={"processor": "P", "threads": 2},
        bundle={"sha256": "s"},
        options={"beam": {"beam_width": 5, "n_best": 1}},
        measurements=measurements,
        scenarios=(),
        checks=(),
        goals=(),
        quality=(),
        absent={},
        details={},
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def timed(
    name: str, median: float, *, group: str = "stages", samples: int = 7, **more: object
) -> Measurement:
    spread = 1 + 0.01 * np.arange(samples) - 0.005 * (samples - 1)
    return Measurement(group, name, tuple((median * spread).tolist()), **more)  # type: ignore[arg-type]


def scenario(verdict: str = "VALID", **more: object) -> ScenarioResult:
    base = ScenarioResult(
        scenario="SingleStream",
        source="films",
        precision="fp32",
        verdict=verdict,
        summary="",
        metric="90th percentile",
        metric_value=5.0,
        settings={"min_duration": 1.0},
        seconds=tuple((0.1 + 0.001 * np.arange(9)).tolist()),
        reports=9,
        duration=1.0,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def verdicts(comparison: Comparison) -> list[Verdict]:
    return [each.verdict for each in comparison.times]


@pytest.mark.parametrize("spread", [0.03, 0.1])
def test_two_runs_of_the_same_noise_are_hardly_ever_a_regression(spread: float) -> None:
    pairs = 30
    wrong = sum(
        compare(run(2 * n, spread=spread), run(2 * n + 1, spread=spread), 0.0).has_regression
        for n in range(pairs)
    )
    # At 5 % each, as promised, more than five of thirty have a probability of 0.3 %; here seeds are fixed.
    assert wrong <= 5


def test_doubt_is_the_tail_of_students_t() -> None:
    # t is 1.3587 / 0.57735, of which tables say 5 % at 3 degrees of freedom.
    assert doubt([np.exp([0.3587, 2.3587] * 2).tolist()], [], 1.0) == pytest.approx(0.05, abs=1e-4)


def test_all_of_ours_a_fifth_slower_is_caught() -> None:
    for seed in range(0, 20, 2):
        comparison = compare(run(seed), run(seed + 1, ours=1.2))
        assert comparison.has_regression
        assert len(comparison.of(Verdict.SLOWER)) > 60
        assert not comparison.of(Verdict.FASTER)


def test_one_slower_figure_of_eighty_is_named() -> None:
    old, new = run(0), run(1)
    slow = replace(new.measurements[7], seconds=tuple(1.4 * each for each in new.measurements[7].seconds))
    comparison = compare(old, replace(new, measurements=(*new.measurements[:7], slow, *new.measurements[8:])))
    assert [each.name for each in comparison.of(Verdict.SLOWER)] == ["stages figure 7"]
    assert comparison.times[0].name == "stages figure 7"


def test_a_slower_machine_is_told_from_a_slower_program_by_the_floor() -> None:
    comparison = compare(run(0), run(1, machine=1.5))
    assert comparison.machine is not None
    assert comparison.machine.low < 1.5 < comparison.machine.high
    assert not comparison.has_regression
    assert comparison.times[0].new / comparison.times[0].old > 1.3
    assert compare(run(0), run(1, machine=1.5, ours=1.3)).has_regression
    assert compare(run(0), run(1, machine=1 / 1.5, ours=1.3)).has_regression


def test_floor_that_our_own_search_decides_about_excuses_nothing() -> None:
    """A search that expands more rows raises the decoder's floor as well."""

    def both(factor: float) -> Record:
        return record(timed("a", 0.1 * factor), timed("decoder products", 0.01 * factor, group=FLOOR))

    assert compare(both(1.0), both(1.5)).has_regression


def test_floors_of_other_work_are_not_held_together() -> None:
    assert compare(run(0), replace(run(1), bundle={"sha256": "t"})).machine is None
    assert compare(run(0), replace(run(1), options={"threads": 1})).machine is None


def test_without_a_floor_in_both_runs_seconds_decide() -> None:
    comparison = compare(run(0), run(1, machine=1.5, floors=False))
    assert comparison.machine is None
    assert comparison.has_regression
    assert "floor encoder products" in comparison.missing


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.3, Verdict.SLOWER), (1.001, Verdict.UNCHANGED), (1.055, Verdict.UNCLEAR), (0.7, Verdict.FASTER)],
)
def test_verdict_follows_the_interval_and_the_tolerance(factor: float, verdict: Verdict) -> None:
    old, new = (record(timed("a", median)) for median in (0.1, 0.1 * factor))
    comparison = compare(old, new, 0.08 if verdict is Verdict.UNCHANGED else 0.05)
    assert verdicts(comparison) == [verdict]
    assert comparison.has_regression == (verdict is Verdict.SLOWER)


def test_fewer_than_five_samples_are_never_a_verdict() -> None:
    comparison = compare(record(timed("a", 0.1, samples=4)), record(timed("a", 1.0)))
    assert verdicts(comparison) == [Verdict.TOO_FEW]
    assert not comparison.has_regression


def test_time_is_held_per_item() -> None:
    old, new = record(timed("a", 0.1, items=10)), record(timed("a", 0.2, items=20))
    assert compare(old, new).times[0].change.value == pytest.approx(1.0)


def test_peers_are_shown_behind_ours_and_are_no_regression() -> None:
    labels = {"system": PADDLE_DYNAMIC}
    old = record(timed("ours", 0.1), timed("peer", 0.1, labels=labels, peak_bytes=10**8))
    new = record(timed("ours", 0.1), timed("peer", 0.3, labels=labels, peak_bytes=10**9))
    comparison = compare(old, new)
    assert [(each.name, each.ours) for each in comparison.times] == [
        ("stages ours", True),
        ("stages peer", False),
    ]
    assert comparison.of(Verdict.SLOWER, ours=False)
    assert not comparison.has_regression


def test_films_one_by_one_are_compared_film_by_film() -> None:
    random = np.random.default_rng(0)
    films = np.exp(0.5 * random.standard_normal(100))  # a long report takes several times as long
    noise = np.exp(0.03 * random.standard_normal((2, 100)))
    old, new = (
        record(Measurement(SINGLE_FILMS, "cxrscribe", tuple((films * factor).tolist())))
        for factor in (noise[0], 1.2 * noise[1])
    )
    assert verdicts(compare(old, new)) == [Verdict.SLOWER]


def test_series_with_a_slow_stretch_is_not_taken_for_hundreds_of_independent_samples() -> None:
    random = np.random.default_rng(0)
    even = np.exp(0.01 * random.standard_normal(400))
    stretch = np.where(np.arange(400) < 240, 1.2, 1.0)  # the machine was busy for three fifths of the run
    old, new = (record(Measurement("stages", "a", tuple(each.tolist()))) for each in (even, even * stretch))
    assert verdicts(compare(old, new)) == [Verdict.UNCLEAR]


@pytest.mark.parametrize(
    ("old", "new", "is_regression"),
    [
        (10**8, 112 * 10**6, True),
        (10**8, 104 * 10**6, False),
        (10**7, 14 * 10**6, False),
        (None, 10**9, False),
    ],
)
def test_memory_has_to_grow_by_the_tolerance_and_by_five_megabytes(
    old: int | None, new: int, is_regression: bool
) -> None:
    comparison = compare(record(timed("a", 0.1, peak_bytes=old)), record(timed("a", 0.1, peak_bytes=new)))
    assert comparison.has_regression is is_regression
    assert len(comparison.more_memory) == is_regression


def test_other_words_in_the_new_run_are_a_regression_unless_they_are_a_peers() -> None:
    check = TokenCheck("cxrscribe", "films", "fp32", "reference", reports=10, identical=9)
    old = record(timed("a", 0.1))
    comparison = compare(old, record(timed("a", 0.1), checks=(check,)))
    assert comparison.drifted == ("cxrscribe films fp32 as reference: 9 of 10",)
    assert comparison.has_regression
    peers = replace(check, is_required=False)
    assert not compare(old, record(timed("a", 0.1), checks=(peers,))).has_regression


def test_scenario_that_was_valid_and_is_not_any_more_is_a_regression() -> None:
    valid, invalid = (record(scenarios=(scenario(verdict),)) for verdict in ("VALID", "INVALID"))
    assert compare(valid, invalid).invalid == ("SingleStream films fp32",)
    assert compare(valid, invalid).has_regression
    assert not compare(invalid, invalid).has_regression


def test_scenario_is_compared_by_latency_and_metric() -> None:
    slower = scenario(seconds=tuple(1.5 * each for each in scenario().seconds), metric_value=7.5)
    comparison = compare(record(scenarios=(scenario(),)), record(scenarios=(slower,)))
    assert verdicts(comparison) == [Verdict.SLOWER]
    assert [each.ratio for each in comparison.metrics] == [1.5]


def test_offline_scenario_is_one_sample_however_many_queries_it_has() -> None:
    old, new = (record(scenarios=(scenario(scenario="Offline", duration=each),)) for each in (1.0, 2.0))
    comparison = compare(old, new)
    assert verdicts(comparison) == [Verdict.TOO_FEW]
    assert comparison.times[0].change.value == pytest.approx(2.0)


def test_scenarios_are_compared_whatever_pace_was_measured_before_them() -> None:
    paced = [
        record(
            scenarios=(scenario(settings={"single_stream_expected_latency_ns": pace, "min_duration": 1.0}),)
        )
        for pace in (5e6, 6e6)
    ]
    comparison = compare(*paced)
    assert len(comparison.times) == 1
    assert not comparison.other_settings


def test_runtime_that_failed_in_the_new_run_is_a_regression() -> None:
    old, new = record(scenarios=(scenario(),)), record(scenarios=(scenario(),))
    comparison = compare(old, replace(new, failures=("cxrscribe/int8",)))
    assert comparison.failed == ("cxrscribe/int8",)
    assert comparison.has_regression


def test_scenario_under_other_settings_is_not_compared_by_latency() -> None:
    other = scenario(settings={"min_duration": 2.0})
    comparison = compare(record(scenarios=(scenario(),)), record(scenarios=(other,)))
    assert not comparison.times
    assert len(comparison.metrics) == 1
    assert not comparison.differences
    assert comparison.other_settings == ("SingleStream films fp32: min_duration: 1.0 -> 2.0",)


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"bundle": {"sha256": "t"}}, "bundle sha256: s -> t"),
        ({"environment": {"processor": "Q", "threads": 2}}, "processor: P -> Q"),
        ({"environment": {"processor": "P", "threads": 4}}, "threads of the process: 2 -> 4"),
        ({"options": {"beam": {"beam_width": 5, "n_best": 2}}}, "beam.n_best: 1 -> 2"),
        ({"options": {}}, "beam.beam_width: 5 -> not given; beam.n_best: 1 -> not given"),
    ],
    ids=["bundle", "processor", "threads", "option", "options"],
)
def test_runs_that_differ_in_more_than_the_program_are_said_to(
    fields: Mapping[str, object], difference: str
) -> None:
    same = record(timed("a", 0.1))
    assert compare(same, same).differences == ()
    assert compare(same, record(timed("a", 0.1), **fields)).differences == tuple(difference.split("; "))


def test_what_only_one_run_has_is_listed() -> None:
    check = TokenCheck("cxrscribe", "films", "fp32", "reference", reports=1, identical=1)
    old = record(timed("a", 0.1), timed("b", 0.1), checks=(check,))
    new = record(timed("a", 0.1), timed("c", 0.1))
    comparison = compare(old, new)
    assert comparison.missing == ("stages b", "token check cxrscribe films fp32 as reference")
    assert comparison.added == ("stages c",)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: compare(record(timed("a", 0.1)), record(timed("b", 0.1))), "no figure in common"),
        (lambda: compare(record(timed("a", 0.1)), record(timed("a", 0.0))), "time of 0.0"),
        (lambda: compare(run(0, figures=1), run(0, figures=1), 1.0), "tolerance is 1.0"),
    ],
    ids=["nothing", "zero", "tolerance"],
)
def test_what_can_not_be_compared_is_refused(make: Callable[[], Comparison], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
