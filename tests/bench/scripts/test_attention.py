"""The benchmark of attention: every way to bring the maps gives the same numbers, and is timed."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe_bench.scripts import attention
from cxrscribe_bench.scripts.attention import DEMO, IMAGES, PLACES, WAYS, WITHOUT, maps, runs, with_attention
from cxrscribe_export.graphs.runner import Array, GraphRunner
from cxrscribe_export.precision.speed import step_inputs

SMALL = replace(DEMO, name="small", embedding=3, hidden=8, words=11, positions=4, channels=6)


def close(ours: Array, theirs: Array) -> bool:
    return ours.shape == theirs.shape and bool(np.allclose(ours, theirs, rtol=1e-4, atol=1e-5))


def test_all_ways_give_the_same_numbers_and_others_than_without() -> None:
    found = {name: run() for name, run in runs(SMALL).items()}
    score, _, _, state = found[WITHOUT]
    for way in WAYS:
        attended = found[way]
        assert attended[0].shape == score.shape
        assert close(attended[0], found["shared"][0])
        assert close(attended[3], found["shared"][3])
        assert not close(attended[3], state)


def test_the_order_of_the_positions_is_without_meaning_and_what_stands_there_is_not() -> None:
    inputs = step_inputs(
        Architecture("random", {}, 6, 3, 8, 1, 11, context=ContextSizes(48, 128)), IMAGES, PLACES
    )
    step = GraphRunner(with_attention(attention.fused_step(SMALL), SMALL, "shared"))
    run = partial(step.run, *inputs)
    keys, values = maps(SMALL, "shared")
    order = np.array([2, 0, 3, 1])
    state = run(keys, values)[3]
    assert close(run(keys[:, order], values[:, order])[3], state)
    assert not close(run(keys[:, order], values)[3], state)


def test_maps_that_ride_in_the_state_go_on_with_their_rows() -> None:
    *_, keys_out, values_out = runs(SMALL)["in the state"]()
    keys, values = maps(SMALL, "in the state")
    # A parent is a row of the same image, and so has the same map.
    assert np.array_equal(keys_out, keys)
    assert np.array_equal(values_out, values)


def test_every_way_is_timed_at_every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEMO", "LARGE", "RESNET"):
        monkeypatch.setattr(attention, name, replace(SMALL, name=name))
    result = CliRunner().invoke(attention.main, ["--rounds", "2", "--json"])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["rows"] == IMAGES * PLACES
    costs = record["costs"]
    assert [(cost["sizes"], cost["way"]) for cost in costs] == [
        (name, way) for name in ("DEMO", "LARGE", "RESNET") for way in WAYS
    ]
    assert all(cost["low"] <= cost["ratio"] <= cost["high"] for cost in costs)
    # h, c and four gates of 8 numbers; then 4 positions of 6, twice.
    assert {(cost["row_bytes"], cost["with_map_bytes"]) for cost in costs} == {(4 * 48, 4 * 96)}
    table = CliRunner().invoke(attention.main, ["--rounds", "1"]).stdout.splitlines()
    assert len(table) == 1 + len(costs)
