"""Timing two graphs in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path

import onnx
import pytest

from cxrscribe_export.graphs.runner import Array, GraphRunner
from cxrscribe_export.precision import speed
from cxrscribe_export.precision.speed import WARM_UP, seconds_in_turn, speedup, step_inputs
from support.small_bundle import SmallBundle


class Clock:
    """Stands still but for what a run says that it takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def run(self, seconds: Callable[[], float], calls: list[str], name: str) -> Callable[[], None]:
        def run() -> None:
            calls.append(name)
            self.now += seconds()

        return run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(speed, "perf_counter", clock)
    return clock


def test_runs_take_turns_and_the_first_ones_do_not_count(clock: Clock) -> None:
    calls: list[str] = []
    slow = clock.run(lambda: 0.25 if len(calls) <= 2 * WARM_UP else 0.125, calls, "slow")
    fast = clock.run(lambda: 0.0625, calls, "fast")
    assert seconds_in_turn([slow, fast], rounds=5) == [[0.125] * 5, [0.0625] * 5]
    assert calls == [
        *("slow", "fast", "fast", "slow"),  # the rounds that warm up
        *("slow", "fast", "fast", "slow", "slow", "fast", "fast", "slow", "slow", "fast"),
    ]


def test_short_runs_are_repeated_until_the_time_is_filled(clock: Clock) -> None:
    (seconds,) = seconds_in_turn([clock.run(lambda: 0.125, [], "run")], rounds=1, at_least=2.0)
    assert seconds == [0.125] * 16


def test_speedup_is_the_median_of_the_rounds(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SmallBundle(fused=True)
    step = onnx.load(small.write(tmp_path / "bundle") / "beam_step.onnx")
    inputs = step_inputs(small.manifest(()).architecture, images=4, places=3)
    score, *_ = GraphRunner(step).run(*inputs)
    assert score.shape == (4, 6)
    costs: dict[GraphRunner, Iterator[float]] = {}
    kinds = iter([cycle([0.5]), cycle([0.125, 0.25])])  # the slower one runs first
    run = GraphRunner.run

    def timed(self: GraphRunner, *given: Array) -> list[Array]:
        if self not in costs:
            costs[self] = next(kinds)
        clock.now += next(costs[self])
        return run(self, *given)

    monkeypatch.setattr(GraphRunner, "run", timed)
    assert speedup(step, step, inputs, rounds=4) == 3.0
