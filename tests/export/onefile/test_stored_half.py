"""Weights that are stored as float16: which, how often, and which can't be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

import cxrscribe
from cxrscribe import BundleError
from cxrscribe.bundle.bundle import Bundle
from cxrscribe_export.onefile.file import one_file
from cxrscribe_export.onefile.inlining import subgraphs
from cxrscribe_export.onefile.variant import Variant
from support.small_bundle import SmallBundle

HALF = Variant(weights="fp16")


@dataclass(frozen=True)
class ScaledWords(SmallBundle):
    """The weights from the hidden state to the words, times a factor."""

    factor: float = 1.0

    def _step(self) -> onnx.GraphProto:
        graph = super()._step()
        for tensor in graph.initializer:
            values = numpy_helper.to_array(tensor)
            if values.shape == (self.hidden, self.words):
                tensor.CopyFrom(numpy_helper.from_array(values * np.float32(self.factor), tensor.name))
        return graph


def graphs_of(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    return [graph, *(each for inner in subgraphs(graph.node) for each in graphs_of(inner))]


def test_it_halves_the_file_of_the_demo_model() -> None:
    bundle = Bundle.open(cxrscribe.demo_bundle())
    plain, half = one_file(bundle), one_file(bundle, variant=HALF)
    assert half.ByteSize() < 0.53 * plain.ByteSize()


def test_large_weights_are_stored_once_and_cast_outside_of_loops() -> None:
    model = one_file(Bundle.open(cxrscribe.demo_bundle()), variant=HALF)
    halves = {
        tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT16
    }
    assert halves
    casts = [node for node in model.graph.node if node.op_type == "Cast" and node.input[0] in halves]
    assert sorted(node.input[0] for node in casts) == sorted(halves)
    for graph in graphs_of(model.graph):
        large = [
            tensor.name
            for tensor in graph.initializer
            if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and np.prod(tensor.dims) >= 1024
        ]
        assert not large
    inner = [node for graph in graphs_of(model.graph)[1:] for node in graph.node if node.op_type == "Cast"]
    assert not {node.input[0] for node in inner} & set(halves)


def test_each_weight_is_the_nearest_that_half_precision_has() -> None:
    bundle = Bundle.open(cxrscribe.demo_bundle())
    halves = {
        tensor.name.removesuffix("/half"): numpy_helper.to_array(tensor)
        for tensor in one_file(bundle, variant=HALF).graph.initializer
        if tensor.data_type == TensorProto.FLOAT16
    }
    found = 0
    for graph in graphs_of(one_file(bundle).graph):
        for tensor in graph.initializer:
            if tensor.name in halves:
                values = numpy_helper.to_array(tensor)
                np.testing.assert_array_equal(halves[tensor.name], values.astype(np.float16))
                found += 1
    assert found == len(halves)


@pytest.mark.parametrize(("factor", "problem"), [(1e6, "beyond 65504"), (1e-7, "few digits")])
def test_a_weight_that_half_precision_cannot_hold_is_named(
    tmp_path: Path, factor: float, problem: str
) -> None:
    small = ScaledWords(words=30, hidden=40, factor=factor, fused=True)
    bundle = Bundle.open(small.write(tmp_path / "bundle"))
    one_file(bundle)
    with pytest.raises(BundleError, match=f"the weight 'search/step/.*{problem}.*leave weights 'fp16' out"):
        one_file(bundle, variant=HALF)


def test_small_weights_and_defaults_stay() -> None:
    bundle = Bundle.open(cxrscribe.demo_bundle())
    model = one_file(bundle, variant=HALF)
    kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    assert kinds["length_penalty"] == TensorProto.FLOAT
    assert any(kind == TensorProto.FLOAT for kind in kinds.values())
