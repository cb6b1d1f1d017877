"""Trials of small bundles, and which cost wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.json_object import JsonObject
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.trial import Conditions, Cost, Trial, cheapest, try_out

FP32 = Candidate("cpu", PrecisionPair("fp32", "fp32"))
CONDITIONS = Conditions(1, spinning=False, strict=False, cache=None)


def candidate(name: str) -> Candidate:
    return Candidate("cpu", PrecisionPair.parse(name))


def test_the_geometric_mean_of_alone_and_together_decides() -> None:
    costs = [Cost(candidate("a"), 10, 40), Cost(candidate("b"), 20, 10), Cost(candidate("c"), 30, 30)]
    assert cheapest(costs) == candidate("b")


def test_of_two_alike_the_first_is_taken() -> None:
    costs = [Cost(candidate("a"), 10.1, 10.1), Cost(candidate("b"), 10, 10)]
    assert cheapest(costs) == candidate("a")
    assert cheapest([Cost(candidate("a"), 11, 11), Cost(candidate("b"), 10, 10)]) == candidate("b")


def test_of_nothing_nothing_is_taken() -> None:
    assert cheapest([]) is None


@given(st.lists(st.tuples(st.floats(0.1, 1e4), st.floats(0.1, 1e4)), min_size=1, max_size=8))
def test_who_is_best_at_both_or_nearly_so_is_taken(times: list[tuple[float, float]]) -> None:
    costs = [Cost(candidate(f"p{place}"), *pair) for place, pair in enumerate(times)]
    chosen = next(cost for cost in costs if cost.candidate == cheapest(costs))
    assert all(
        chosen.alone_ms * chosen.together_ms <= 1.05 * cost.alone_ms * cost.together_ms for cost in costs
    )


@pytest.mark.parametrize("bundle", ["small_bundle", "fused_bundle"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_bundle_is_tried_whole(bundle: str, strict: bool, request: pytest.FixtureRequest) -> None:
    opened = Bundle.open(request.getfixturevalue(bundle))
    if strict and bundle == "small_bundle":
        pytest.skip("a bundle without a fused step can't be strict")
    conditions = Conditions(1, spinning=False, strict=strict, cache=None)
    trial = try_out(opened, [FP32], conditions, seconds=5)
    (encoder,), (decoder,) = trial.encoders, trial.decoders
    assert (encoder.name, decoder.name) == ("cpu fp32", "cpu fp32")
    assert encoder.milliseconds.keys() == decoder.milliseconds.keys() == {"1", "many"}
    (cost,) = trial.costs
    assert cost.alone_ms > encoder.milliseconds["1"]
    assert Trial.from_json(JsonObject(trial.to_json(), "a trial")) == trial


def test_a_missing_precision_is_a_problem_of_its_own(fused_bundle: Path) -> None:
    trial = try_out(Bundle.open(fused_bundle), [candidate("int8"), FP32], CONDITIONS, seconds=5)
    assert "has no graphs of precision 'int8'" in trial.encoders[0].problem
    assert [cost.candidate for cost in trial.costs] == [FP32]
