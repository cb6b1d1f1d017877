"""A graph with other nodes and constants between the same inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from cxrscribe_export.graphs.folding import needed

Array = npt.NDArray[Any]


def constants_of(model: onnx.ModelProto) -> dict[str, Array]:
    """The constants of a graph by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of the float32 tensors of a graph: inputs, outputs, constants and what nodes give."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    named = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    return named | {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}


def rebuilt(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Array]
) -> onnx.ModelProto:
    """A copy of `model` made of `nodes` and `constants`, less what no output needs. Nodes are named anew."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    kept = needed(list(nodes), {output.name for output in graph.output})
    used = {name for node in kept for name in node.input}
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{place}"
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used
    )
    return copy
