"""Timing two graphs in one run."""

from __future__ import annotations

import time
from pathlib import Path

import onnx
import pytest

from cxrscribe_export.runner import GraphRunner
from cxrscribe_export.speed import WARM_UP, processor_name, seconds_in_turn, speedup, step_inputs
from support.small_bundle import SmallBundle


def test_runs_take_turns_and_the_first_ones_do_not_count() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        time.sleep(0.2 if len(calls) < 2 * WARM_UP else 0.02)

    slower, faster = seconds_in_turn([slow, lambda: calls.append("fast")], rounds=5)
    assert calls == ["slow", "fast"] * (WARM_UP + 5)
    assert (len(slower), len(faster)) == (5, 5)
    assert 0.02 <= min(slower) < 0.15
    assert min(faster) < min(slower)


def test_short_runs_are_repeated_until_the_time_is_filled() -> None:
    (seconds,) = seconds_in_turn([lambda: time.sleep(0.001)], rounds=1, at_least=0.1)
    assert 2 <= len(seconds) <= 100


def test_a_graph_is_as_fast_as_itself(tmp_path: Path) -> None:
    small = SmallBundle(fused=True)
    step = onnx.load(small.write(tmp_path / "bundle") / "beam_step.onnx")
    inputs = step_inputs(small.manifest(()).architecture, images=4, places=3)
    score, *_ = GraphRunner(step).run(*inputs)
    assert score.shape == (4, 6)
    assert speedup(step, step, inputs, rounds=200) == pytest.approx(1, rel=0.5)


def test_the_processor_has_a_name() -> None:
    assert processor_name().strip()
