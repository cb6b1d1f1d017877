"""A folded stem gives what the unfolded one gives, inside the film and at its border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from cxrscribe_export.graphs.graph_builder import GraphBuilder, finished_model
from cxrscribe_export.graphs.runner import Array, GraphRunner
from cxrscribe_export.graphs.stem_folding import fold_stem
from support.small_convolutions import small_encoder

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Form:
    """Of a film's first convolution."""

    height: int
    width: int
    kernel: tuple[int, int] = (7, 7)
    strides: tuple[int, int] = (2, 2)
    pads: tuple[int, int, int, int] = (3, 3, 3, 3)
    mean: Array | None = None


def stem(form: Form, seed: int = 0, bias: bool = False, **attributes: object) -> onnx.ModelProto:
    """image uint8 [N, H, W] -> features float32 [N, 4, h, w]: normalized as export does it, and convolved."""
    random = np.random.default_rng(seed)
    graph = GraphBuilder()
    mean = MEAN if form.mean is None else form.mean
    grey = graph.node("Cast", "image", to=TensorProto.FLOAT)
    plane = graph.node("Unsqueeze", grey, graph.constant(np.array([1])))
    scale, shift = 1 / (255 * DEVIATION), -mean / DEVIATION
    scaled = graph.node("Mul", plane, graph.constant(scale.reshape(1, 3, 1, 1)))
    film = graph.node("Add", scaled, graph.constant(shift.reshape(1, 3, 1, 1)))
    constants = [graph.constant(random.normal(size=(4, 3, *form.kernel)))]
    if bias:
        constants.append(graph.constant(random.normal(size=4)))
    graph.node(
        "Conv",
        film,
        *constants,
        name="features",
        pads=list(form.pads),
        strides=list(form.strides),
        **attributes,
    )
    value = helper.make_tensor_value_info
    return finished_model(
        helper.make_graph(
            graph.nodes,
            "stem",
            [value("image", TensorProto.UINT8, ["N", form.height, form.width])],
            [value("features", TensorProto.FLOAT, ["N", 4, None, None])],
            graph.constants,
        )
    )


def films(form: Form, count: int = 2, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, form.height, form.width)).astype(np.uint8)


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def assert_same(form: Form, seed: int = 0, bias: bool = False) -> onnx.ModelProto:
    model = stem(form, seed, bias)
    folded = fold_stem(model)
    onnx.checker.check_model(folded, full_check=True)
    assert not {"Mul", "Add", "Unsqueeze"}.intersection(kinds(folded))
    expected, found = (GraphRunner(each).run(films(form))[0] for each in (model, folded))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-4 * expected.std())
    return folded


@pytest.mark.parametrize("side", [(64, 64), (48, 80)])
def test_a_resnets_stem_reads_cells_of_four_pixels(side: tuple[int, int]) -> None:
    folded = assert_same(Form(*side))
    (weight,) = (tensor for tensor in folded.graph.initializer if tensor.name == "stem.weight")
    assert list(weight.dims) == [4, 8, 4, 4]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_plain_convolution(data: st.DataObject) -> None:
    sizes, steps, around = st.integers(8, 15), st.integers(1, 3), st.integers(0, 3)
    form = Form(
        data.draw(sizes),
        data.draw(sizes),
        (data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7))),
        (data.draw(steps), data.draw(steps)),
        (data.draw(around), data.draw(around), data.draw(around), data.draw(around)),
    )
    assert_same(form, data.draw(st.integers(0, 9)), data.draw(st.booleans()))


@pytest.mark.parametrize("mean", [np.zeros(3), np.ones(3), np.full(3, 1.4), np.array([-0.3, 0.5, 2.0])])
def test_any_mean(mean: Array) -> None:
    assert_same(Form(16, 16, mean=mean.astype(np.float32)))


def test_without_a_shift_there_is_no_second_plane() -> None:
    folded = fold_stem(small_encoder())
    assert "Pad" not in kinds(folded)
    found = [GraphRunner(model).run(films(Form(32, 32)))[0] for model in (small_encoder(), folded)]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-5)


def test_other_graphs_stay() -> None:
    dilated = stem(Form(16, 16), dilations=[2, 2])
    assert fold_stem(dilated) is dilated
    read_twice = stem(Form(16, 16))
    read_twice.graph.node.append(helper.make_node("Identity", [read_twice.graph.node[3].output[0]], ["film"]))
    read_twice.graph.output.append(helper.make_tensor_value_info("film", TensorProto.FLOAT, None))
    assert fold_stem(read_twice) is read_twice
