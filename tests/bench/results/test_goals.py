from __future__ import annotations

from cxrscribe_bench.results.goals import goals
from cxrscribe_bench.results.measurement import Measurement


def result(group: str, system: str, seconds: float, precision: str = "fp32") -> Measurement:
    labels = {"system": system, "precision": precision}
    return Measurement(group, f"{system}/{precision}", (seconds, 2 * seconds, seconds), 1, labels)


def stage(name: str, seconds: float, precision: str) -> Measurement:
    labels = {"stage": name, "precision": precision}
    return Measurement("stages", f"{name}/{precision}", (seconds,) * 3, 1, labels)


def test_only_what_was_measured_is_judged() -> None:
    assert goals([]) == ()
    assert goals([result("offline/films", "cxrscribe", 1.0)]) == ()


def test_peer_that_was_timed_apart_on_fewer_films_is_judged_too() -> None:
    ours = result("single/films", "cxrscribe", 1.0)
    labels = {"system": "paddle-dynamic", "precision": "fp32"}
    peer = Measurement("single/films", "paddle-dynamic/fp32", (4.0, 5.0), 1, labels)
    goal, over_best = goals([ours, peer])
    assert (goal.value.value, goal.reached) == (1 / 4.5, True)
    assert (over_best.value.value, over_best.reached) == (4.5, True)


def test_each_goal_takes_the_sides_that_it_names() -> None:
    found = goals(
        [
            result("offline/films", "cxrscribe", 2.0),
            result("offline/films", "cxrscribe", 1.0, "int8"),
            result("offline/films", "paddle-dynamic", 50.0),
            result("offline/films", "openvino-as-it-comes", 2.5, "as-it-comes"),
            result("offline/features", "cxrscribe", 1.0),
            result("offline/features", "cxrscribe", 0.5, "int8"),
            result("offline/features", "openvino-f32", 3.0),
            result("offline/features", "openvino-as-it-comes", 0.1, "as-it-comes"),
            result("offline/features", "pytorch-compiled", 1.5),
            result("single/films", "cxrscribe", 1.0),
            result("single/films", "plain-onnxruntime", 1.25),
            result("single/films", "paddle-dynamic", 9.0),
            result("single/films", "openvino-as-it-comes", 0.2, "as-it-comes"),
            stage("film to text", 1.25, "int8"),
            stage("encode", 1.0, "int8"),
            stage("encode", 7.0, "fp32"),
        ]
    )
    assert {goal.name: (goal.value.value, goal.reached) for goal in found} == {
        "from films, best precision: reports a second over paddle-dynamic's": (50.0, True),
        "from films, best precision: reports a second over openvino-as-it-comes's": (2.5, True),
        "from features, fp32: reports a second over pytorch-compiled's, the best of the rest": (1.5, True),
        "from features: best precision over fp32": (2.0, False),
        "one film, fp32: time over plain-onnxruntime's, the best peer": (0.8, True),
        "one film, best precision: times as fast as openvino-as-it-comes, the best peer at any": (0.2, False),
        "film to text, int8: rate over that of the encoder alone": (0.8, True),
    }
