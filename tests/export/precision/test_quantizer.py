"""Scales and codes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cxrscribe_export.graphs.graph_builder import GraphBuilder, finished_model
from cxrscribe_export.graphs.runner import Array, GraphRunner
from cxrscribe_export.precision.activation_range import ActivationRange, observe
from cxrscribe_export.precision.quantizer import HIDDEN, Quantization, Quantizer


def product(weight: Array, bias: Array) -> onnx.ModelProto:
    """x float32 [R, K] -> x @ weight + bias."""
    graph = GraphBuilder()
    graph.node("Gemm", "x", graph.constant(weight, "w"), graph.constant(bias, "b"), name="y")
    value = helper.make_tensor_value_info
    return finished_model(
        helper.make_graph(
            graph.nodes,
            "product",
            [value("x", TensorProto.FLOAT, ["R", weight.shape[0]])],
            [value("y", TensorProto.FLOAT, ["R", weight.shape[1]])],
            graph.constants,
        )
    )


def quantized(weight: Array, bias: Array, source: Quantization) -> GraphRunner:
    quantizer = Quantizer(product(weight, bias))
    left = quantizer.activation("x", source)
    quantizer.add("Gemm", [left, *quantizer.weight("w", "w", 1, "b", source)], "y")
    return GraphRunner(quantizer.finished())


@given(low=st.floats(-1e4, 0), high=st.floats(0, 1e4))
def test_a_quantization_covers_its_range_and_holds_0_exactly(low: float, high: float) -> None:
    found = Quantization.covering(ActivationRange(low, high))
    assert 0 <= found.zero <= 255
    least, most = -found.zero * found.scale, (255 - found.zero) * found.scale
    assert least <= low + 0.51 * found.scale
    assert most >= high - 0.51 * found.scale


def test_h_keeps_its_bounds() -> None:
    assert (HIDDEN.zero, 127 * HIDDEN.scale) == (128, 1)


@pytest.mark.parametrize("values", [(1.0, 2.0), (-2.0, -1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_range_is_finite_and_holds_0(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="a range from"):
        ActivationRange(*values)


def test_each_column_has_a_scale_of_its_own() -> None:
    random = np.random.default_rng(0)
    size = np.array([1e-4, 1.0, 300.0], np.float32)
    weight = (random.normal(size=(16, 3)) * size).astype(np.float32)
    x = np.tanh(random.normal(size=(50, 16))).astype(np.float32)
    expected = x @ weight
    found = quantized(weight, np.zeros(3, np.float32), HIDDEN).run(x)[0]
    assert (np.abs(found - expected).max(axis=0) < 0.03 * np.abs(expected).max(axis=0)).all()


@given(seed=st.integers(0, 99), outputs=st.integers(1, 5), inputs=st.integers(1, 9), axis=st.integers(0, 1))
def test_two_neighbours_fit_into_16_bits(seed: int, outputs: int, inputs: int, axis: int) -> None:
    random = np.random.default_rng(seed)
    weight = random.normal(size=(outputs, inputs, 3) if axis == 0 else (inputs, outputs)) ** 3
    quantizer = Quantizer(product(weight.astype(np.float32), np.zeros(1, np.float32)))
    quantizer.weight("w", "w", axis, None, HIDDEN)
    codes, scale = quantizer.constant("w.weight.code"), quantizer.constant("w.weight.scale")
    assert codes is not None
    assert scale is not None
    by_output = np.abs(np.moveaxis(codes.astype(int), axis, 0))
    assert by_output.max() <= 126
    if inputs % 2:
        assert by_output.max() == 64
    else:
        assert (by_output[:, ::2] + by_output[:, 1::2]).max() <= 128
    steps = (np.moveaxis(codes, axis, 0).astype(float).T * scale).T
    error = np.abs(steps - np.moveaxis(weight, axis, 0))
    assert (0.501 * scale >= error.T).all()


def test_the_bias_undoes_what_rounding_does_to_an_input_that_is_known() -> None:
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(8, 3)).astype(np.float32), np.ones(3, np.float32)
    known = np.zeros((8, 1))
    known[1::2] = 0.9
    source = Quantization(1 / 127, 0)
    quantizer = Quantizer(product(weight, bias))
    left = quantizer.activation("x", source)
    quantizer.add("Gemm", [left, *quantizer.weight("w", "w", 1, "b", source, known)], "y")
    x = np.zeros((1, 8), np.float32)
    x[0, 1::2] = 0.9
    found = GraphRunner(quantizer.finished()).run(x)[0]
    # 0.9 itself is rounded to a code, once for all.
    code = np.round(0.9 * 127) / 127
    np.testing.assert_allclose(found, x @ weight + bias, atol=abs(code - 0.9) * 8 + 1e-4)


@pytest.mark.parametrize("largest", [0.0, 1e-30, 1e-6])
def test_a_large_bias_beside_tiny_weights_does_not_overflow(largest: float) -> None:
    weight = np.full((4, 2), largest, np.float32)
    bias = np.array([3e4, -3e4], np.float32)
    found = quantized(weight, bias, HIDDEN).run(np.ones((1, 4), np.float32))[0]
    np.testing.assert_allclose(found, [bias], rtol=1e-4)


def test_ranges_are_those_of_all_batches() -> None:
    model = product(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    batches = [(np.array([[1, 2]], np.float32),), (np.array([[-3, 0.5]], np.float32),)]
    found = observe(model, ["x", "y"], batches)
    assert found == {"x": ActivationRange(-3, 2), "y": ActivationRange(-3, 2)}
