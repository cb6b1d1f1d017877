"""float16 inside, the same inputs and outputs outside."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from cxrscribe.bundle.contract import beam_step_interface, encoder_interface
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.half_precision import HalfPrecisionError, halve
from support.small_bundle import SmallBundle
from support.small_convolutions import FEATURES, SIDE, small_encoder, small_films

from .test_decoder_int8 import SMALL, features, step_inputs


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, onnx.ModelProto]:
    folder = SMALL.write(tmp_path_factory.mktemp("half") / "bundle")
    return {name: onnx.load(folder / f"{name}.onnx") for name in ("decoder_init", "beam_init", "beam_step")}


def test_the_encoder_is_close_and_half_as_large() -> None:
    model = small_encoder()
    half = halve(model)
    check(half, encoder_interface(SIDE, SIDE, FEATURES))
    films = small_films(9)
    expected, found = (GraphRunner(graph).run(films)[0] for graph in (model, half))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=5e-3 * float(np.abs(expected).max()))


def test_the_decoder_is_close(graphs: dict[str, onnx.ModelProto]) -> None:
    inputs = {"decoder_init": [features(9)], "beam_init": [features(9)], "beam_step": step_inputs(40, 5)}
    check(halve(graphs["beam_step"]), beam_step_interface(SMALL.layers, SMALL.hidden, SMALL.words))
    for name, model in graphs.items():
        expected, found = (GraphRunner(graph).run(*inputs[name]) for graph in (model, halve(model)))
        for mine, theirs in zip(found, expected, strict=True):
            assert mine.dtype == theirs.dtype
            if mine.dtype == np.float32:
                np.testing.assert_allclose(mine, theirs, atol=2e-2)


def test_every_weight_is_float16_and_log_probabilities_are_float32(
    graphs: dict[str, onnx.ModelProto],
) -> None:
    half = halve(graphs["beam_step"])
    weights = [numpy_helper.to_array(tensor) for tensor in half.graph.initializer]
    assert not [value.shape for value in weights if value.dtype == np.float32 and value.ndim > 1]
    inferred = onnx.shape_inference.infer_shapes(half).graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)
    }
    by_kind = {node.op_type: node for node in half.graph.node}
    assert types[by_kind["LogSoftmax"].output[0]] == TensorProto.FLOAT
    assert types[by_kind["TopK"].output[0]] == TensorProto.FLOAT
    assert types[by_kind["Sigmoid"].output[0]] == TensorProto.FLOAT16
    assert Counter(node.op_type for node in half.graph.node)["Cast"] < 15


def test_a_weight_beyond_float16_is_refused(graphs: dict[str, onnx.ModelProto]) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(graphs["beam_init"])
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 2)
    value = numpy_helper.to_array(tensor).copy()
    value[0, 0] = 1e5
    tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    with pytest.raises(HalfPrecisionError, match=rf"{tensor.name}.*1e\+05.*fp16 out"):
        halve(model)


def test_forbidden_words_stay_forbidden(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = SmallBundle(fused=True).write(tmp_path_factory.mktemp("forbidden") / "bundle")
    small = SmallBundle()
    step = GraphRunner(halve(onnx.load(folder / "beam_step.onnx")))
    bias = np.full((1, small.words), -np.inf, np.float32)
    bias[0, 7] = 0
    state = np.zeros((1, 2 * small.layers * small.hidden), np.float32)
    one = np.zeros(1, np.int64)
    score, index, *_ = step.run(one, one, np.zeros((1, 1), np.float32), state, bias, np.array(1))
    assert index[0, 0] == 7
    assert score[0, 1] == -np.inf
