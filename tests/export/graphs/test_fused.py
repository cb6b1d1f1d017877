"""The fused graphs of a bundle, held against the canonical ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cxrscribe.bundle.contract import interfaces_of
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.fused import fused_graphs
from cxrscribe_export.graphs.runner import FusedStep, GraphStep
from cxrscribe_export.parity.fused_parity import fused_parity
from support.random_networks import Exported


@pytest.fixture(scope="module")
def fused(exported: Exported) -> tuple[Graph, Graph]:
    model = exported.model
    _, initial_state, step = exported.graphs
    return fused_graphs(initial_state, step, interfaces_of(model.architecture, model.preprocessing))


@pytest.fixture(scope="module")
def features(exported: Exported) -> np.ndarray:
    size = exported.model.architecture.feature_size
    return np.abs(np.random.default_rng(0).normal(size=(7, size))).astype(np.float32)


def corrupted(graph: Graph, weight: str) -> Graph:
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == weight)
    value = numpy_helper.to_array(tensor).copy()
    value.flat[value.size // 2] += 0.5
    tensor.CopyFrom(numpy_helper.from_array(value, weight))
    return replace(graph, model=model)


def test_they_give_what_the_canonical_ones_give(
    exported: Exported, fused: tuple[Graph, Graph], features: np.ndarray
) -> None:
    records = fused_parity(exported.graphs[1:], fused, features, 1e-4)
    compared = {(record.graph, record.output) for record in records}
    assert compared == {
        ("beam_init.onnx", "state"),
        *(("beam_step.onnx", name) for name in ("candidate_score", "candidate_log_prob", "state_out")),
    }
    assert {record.rows for record in records} == {1, 5, 32, 160}
    assert all(record.largest_difference < 5e-5 for record in records)


@pytest.mark.parametrize(
    ("place", "weight", "shown"),
    [
        (0, "image_projection.weight", {"state"}),
        (1, "lstm.1.weight", {"candidate_score", "candidate_log_prob", "state_out"}),
        (1, "output.weight", {"candidate_score", "candidate_log_prob"}),
    ],
)
def test_one_wrong_number_shows(
    exported: Exported,
    fused: tuple[Graph, Graph],
    features: np.ndarray,
    place: int,
    weight: str,
    shown: set[str],
) -> None:
    wrong = list(fused)
    wrong[place] = corrupted(fused[place], weight)
    records = fused_parity(exported.graphs[1:], (wrong[0], wrong[1]), features, 1e-4)
    beyond = {record.output for record in records if record.largest_difference > record.tolerance}
    assert beyond == shown


def test_as_a_step_model_they_are_the_canonical_ones(
    exported: Exported, fused: tuple[Graph, Graph], features: np.ndarray
) -> None:
    canonical = GraphStep(*exported.graphs[1:])
    step = FusedStep(*fused, exported.model.architecture.layers)
    expected, found = canonical.initial_state(features), step.initial_state(features)
    np.testing.assert_allclose(found.hidden, expected.hidden, atol=1e-5)
    np.testing.assert_allclose(found.cell, expected.cell, atol=1e-5)
    tokens = np.arange(4, 11)
    expected_log_probs, expected = canonical.step(tokens, expected)
    log_probs, found = step.step(tokens, found)
    np.testing.assert_allclose(log_probs, expected_log_probs, atol=1e-4)
    np.testing.assert_allclose(found.cell, expected.cell, atol=1e-4)
