"""A folded graph computes the same with less."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cxrscribe_export.graphs.folding import fold

FLOAT = TensorProto.FLOAT


def model_of(nodes: list[onnx.NodeProto], outputs: list[str], **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", FLOAT, ["N", 3])],
        [helper.make_tensor_value_info(name, FLOAT, ["N", None]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    results: list[np.ndarray] = ReferenceEvaluator(model).run(None, {"x": x})
    return results


def assert_same(model: onnx.ModelProto, folded: onnx.ModelProto) -> None:
    for expected, found in zip(run(model), run(folded), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_the_transpose_of_a_weight_is_computed_once() -> None:
    nodes = [
        constant("weight", WEIGHT),
        helper.make_node("Transpose", ["weight"], ["transposed"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "transposed"], ["y"]),
    ]
    model = model_of(nodes, ["y"])
    folded = fold(model)
    assert [node.op_type for node in folded.graph.node] == ["MatMul"]
    assert [list(tensor.dims) for tensor in folded.graph.initializer] == [[3, 2]]
    assert_same(model, folded)


def test_what_was_given_stays_as_it_was() -> None:
    model = model_of([constant("w", WEIGHT.T), helper.make_node("MatMul", ["x", "w"], ["y"])], ["y"])
    before = model.SerializeToString()
    fold(model)
    assert model.SerializeToString() == before


def test_equal_weights_are_stored_once() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("MatMul", ["x", "second"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    model = model_of(nodes, ["y"], first=WEIGHT.T.copy(), second=WEIGHT.T.copy())
    folded = fold(model)
    assert len(folded.graph.initializer) == 1
    assert_same(model, folded)


def test_equal_bytes_of_another_shape_or_type_stay_apart() -> None:
    nodes = [
        helper.make_node("Add", ["x", "row"], ["a"]),
        helper.make_node("Reshape", ["row", "shape"], ["column"]),
        helper.make_node("MatMul", ["a", "matrix"], ["y"]),
    ]
    zeros = {"row": np.zeros(3, np.float32), "matrix": np.zeros((3, 1), np.float32)}
    model = model_of(nodes, ["y"], shape=np.array([3, 1]), **zeros)
    folded = fold(model)
    assert sorted(list(tensor.dims) for tensor in folded.graph.initializer) == [[3], [3, 1]]
    assert_same(model, folded)


def test_dead_nodes_and_their_weights_go() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("MatMul", ["x", "unused"], ["dead"]),
        helper.make_node("Relu", ["dead"], ["deader"]),
    ]
    folded = fold(model_of(nodes, ["y"], unused=WEIGHT.T.copy()))
    assert [node.op_type for node in folded.graph.node] == ["Relu"]
    assert not folded.graph.initializer


@pytest.mark.parametrize(
    ("nodes", "outputs", "left"),
    [
        pytest.param([("Relu", "x", "a"), ("Identity", "a", "b"), ("Tanh", "b", "y")], ["y"], 2, id="middle"),
        pytest.param([("Relu", "x", "a"), ("Identity", "a", "y")], ["y"], 1, id="output"),
        pytest.param(
            [("Relu", "x", "a"), ("Tanh", "a", "z"), ("Identity", "a", "y"), ("Abs", "a", "w")],
            ["y", "z", "w"],
            3,
            id="output that others read too",
        ),
        pytest.param(
            [("Relu", "x", "a"), ("Identity", "a", "b"), ("Identity", "b", "y"), ("Identity", "b", "z")],
            ["y", "z"],
            2,
            id="two outputs of one value",
        ),
        pytest.param([("Identity", "x", "y")], ["y"], 1, id="input handed through"),
        pytest.param([("Relu", "x", "y"), ("Identity", "y", "z")], ["y", "z"], 2, id="output of an output"),
    ],
)
def test_identities_vanish_where_they_can(
    nodes: list[tuple[str, str, str]], outputs: list[str], left: int
) -> None:
    model = model_of([helper.make_node(kind, [source], [result]) for kind, source, result in nodes], outputs)
    folded = fold(model)
    assert len(folded.graph.node) == left
    assert_same(model, folded)


def test_a_constant_output_keeps_its_node() -> None:
    nodes = [
        constant("c", WEIGHT),
        helper.make_node("Identity", ["c"], ["y"]),
        helper.make_node("Relu", ["x"], ["z"]),
    ]
    model = model_of(nodes, ["z", "y"])
    assert_same(model, fold(model))
