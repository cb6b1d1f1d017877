from __future__ import annotations

import pytest

from cxrscribe_bench.results.capacity import capacity, capacity_of_stages, stages_at
from cxrscribe_bench.results.goals import goals
from cxrscribe_bench.results.measurement import Measurement

MILLISECONDS = {"decode file": 3.0, "preprocess": 1.0, "encode": 16.0, "search": 3.0, "film to text": 22.0}
CORES = {"encode": 2, "search": 2, "film to text": 2}


def stage(name: str, milliseconds: float, *, items: int = 1, rounds: int = 3, **labels: float) -> Measurement:
    cores = {"cores": CORES.get(name, 1)} | labels
    seconds = tuple(1e-3 * milliseconds * items * (1 + 0.1 * number) for number in range(rounds))
    return Measurement(
        "stages", f"{name}/int8", seconds, items, {"stage": name, "precision": "int8", **cores}
    )


def all_stages(**milliseconds: float) -> list[Measurement]:
    return [stage(name, milliseconds.get(name, each)) for name, each in MILLISECONDS.items()]


def test_it_is_the_cores_over_the_core_seconds_of_a_film() -> None:
    found = capacity_of_stages(stages_at(all_stages(), "int8"))
    assert found is not None
    assert found.seconds == pytest.approx(1.1e-3 * (3 + 1 + 2 * 16 + 2 * 3) / 2)
    assert found.share.value == pytest.approx(21 / 22)


def test_each_round_is_held_against_itself_whatever_the_numbers_of_films() -> None:
    found = capacity(
        stage("film to text", 10.0, items=4), [stage("encode", 5.0, items=8), stage("search", 4.0, items=3)]
    )
    assert found is not None
    assert [found.share.low, found.share.value, found.share.high] == pytest.approx([0.9] * 3)


@pytest.mark.parametrize("missing", MILLISECONDS)
def test_nothing_is_said_where_a_stage_is_missing(missing: str) -> None:
    found = [each for each in all_stages() if each.labels["stage"] != missing]
    assert capacity_of_stages(stages_at(found, "int8")) is None
    assert capacity_of_stages(stages_at(all_stages(), "fp32")) is None


def test_nothing_is_said_of_a_gpu_or_of_rounds_that_are_others() -> None:
    whole, encoder = stage("film to text", 10.0), stage("encode", 5.0)
    assert capacity(whole, [stage("encode", 5.0, cores=0)]) is None
    assert capacity(stage("film to text", 10.0, cores=0), [encoder]) is None
    assert capacity(whole, [stage("encode", 5.0, rounds=2)]) is None
    assert capacity(whole, []) is None
    assert capacity(whole, [encoder]) is not None


@pytest.mark.parametrize(("milliseconds", "reached"), [(22.0, True), (24.0, False)])
def test_it_is_a_goal(milliseconds: float, reached: bool) -> None:
    labels = {"system": "cxrscribe", "precision": "int8"}
    films = Measurement("offline/films", "cxrscribe/int8", (1.0,), 1, labels)
    found = goals([films, *all_stages(**{"film to text": milliseconds})])
    (goal,) = (goal for goal in found if "these cores" in goal.name)
    assert (goal.name, goal.reached) == ("film to text, int8: rate over what these cores could do", reached)
