"""Convolutions as matrix products: the same to the bit, and only where it can be and helps."""

from __future__ import annotations

from pathlib import Path
from platform import machine

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.sessions import matrix_form
from cxrscribe.sessions.matrix_form import DEEP, graph_for_this_machine, in_matrix_form

onnx = pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")

import onnxruntime  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

CHANNELS = DEEP // 9 + 4


def model(
    channels: int = CHANNELS, group: int = 1, zero: int = 0, largest: int = 64, shared: bool = False
) -> bytes:
    """x uint8 [N, 32, 6, 6] -> y: a convolution of bytes between QuantizeLinear and DequantizeLinear."""
    random = np.random.default_rng(0)
    code = random.integers(-largest, largest + 1, (8, channels // group, 3, 3)).astype(np.int8)
    code[0, 0, 0, 0] = largest
    constants = {
        "x.scale": np.float32(0.02),
        "x.zero": np.uint8(117),
        "w.code": code,
        "w.scale": random.uniform(0.01, 0.02, 8).astype(np.float32),
        "w.zero": np.full(8, zero, np.int8),
        "b.code": random.integers(-999, 999, 8).astype(np.int32),
        "b.scale": np.full(8, 2e-4, np.float32),
        "b.zero": np.zeros(8, np.int32),
        "y.scale": np.float32(0.05),
        "y.zero": np.uint8(128),
    }
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["x", "x.scale", "x.zero"], ["x.float"]),
        node("DequantizeLinear", ["w.code", "w.scale", "w.zero"], ["w"], axis=0),
        node("DequantizeLinear", ["b.code", "b.scale", "b.zero"], ["b"], axis=0),
        node("Conv", ["x.float", "w", "b"], ["c"], group=group, pads=[1, 1, 1, 1]),
        node("QuantizeLinear", ["c", "y.scale", "y.zero"], ["y"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.UINT8, None)]
    if shared:
        nodes.append(node("Identity", ["w.code"], ["codes"]))
        outputs.append(helper.make_tensor_value_info("codes", TensorProto.INT8, None))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", channels, 6, 6])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def run(content: bytes, films: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    x = np.random.default_rng(1).integers(0, 256, (films, CHANNELS, 6, 6)).astype(np.uint8)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.skipif(machine() not in ("x86_64", "AMD64"), reason="it is for processors with AMX")
def test_what_comes_out_is_the_same_to_the_bit() -> None:
    # Raised by one they stay below 65: more saturates the sums of pairs on processors without VNNI.
    content = model(largest=62)
    changed = in_matrix_form(content)
    assert changed is not None
    np.testing.assert_array_equal(run(changed), run(content))


def test_weights_and_zero_points_go_up_together() -> None:
    before, after = (
        {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in onnx.load_from_string(content).graph.initializer
        }
        for content in (model(), in_matrix_form(model()) or b"")
    )
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value + 1 if name in ("w.code", "w.zero") else value)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(model(channels=4), id="shallow"),
        pytest.param(model(channels=64, group=2), id="groups"),
        pytest.param(model(zero=3), id="products already"),
        pytest.param(model(largest=127), id="no code is left"),
        pytest.param(model(shared=True), id="another node reads the weight"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_others_stay_as_they_are(content: bytes) -> None:
    assert in_matrix_form(content) is None


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_no_model_is_left_to_onnxruntime(data: st.DataObject) -> None:
    content = bytearray(model())
    for place in data.draw(st.lists(st.integers(0, 200), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    stop = data.draw(st.integers(0, len(content)))
    in_matrix_form(bytes(content[:stop]))


def test_only_a_processor_with_amx_gets_another_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(model())
    monkeypatch.setattr(matrix_form, "multiplies_with_amx", lambda: False)
    assert graph_for_this_machine(graph) == graph
    monkeypatch.setattr(matrix_form, "multiplies_with_amx", lambda: True)
    assert graph_for_this_machine(graph) == in_matrix_form(model())
    graph.write_bytes(model(channels=4))
    assert graph_for_this_machine(graph) == graph
