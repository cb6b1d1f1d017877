"""Smaller graphs that compute the same: constants folded, copies of weights merged, dead nodes dropped.

Works on an ONNX model without subgraphs, which is what the converter makes of our networks.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = npt.NDArray[Any]


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` in which every constant stands once, as an initializer.

    Nodes that depend on constants alone (transposed weights, sums of biases) are computed now, Identity nodes
    vanish, and what no output needs is dropped. Names of inputs and outputs stay.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    graph = folded.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    outputs = {output.name for output in graph.output}
    nodes = _without_identities(_fold_constants(folded, constants), outputs)
    _merge_copies(nodes, constants)
    nodes = needed(nodes, outputs)

    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in constants.items() if name in used
    )
    return folded


def _fold_constants(model: onnx.ModelProto, constants: dict[str, Array]) -> list[onnx.NodeProto]:
    """Compute what depends on constants alone into `constants`; the nodes that remain."""
    outputs = {output.name for output in model.graph.output}
    remaining = []
    for node in model.graph.node:
        inputs = [name for name in dict.fromkeys(node.input) if name]
        if outputs.intersection(node.output) or any(name not in constants for name in inputs):
            remaining.append(node)
            continue
        values = ReferenceEvaluator(_alone(node, inputs, model)).run(
            None, {name: constants[name] for name in inputs}
        )
        constants.update(zip(node.output, (np.array(value, order="C") for value in values), strict=True))
    return remaining


def _alone(node: onnx.NodeProto, inputs: list[str], model: onnx.ModelProto) -> onnx.ModelProto:
    """A model of one node."""
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_empty_tensor_value_info(name) for name in inputs],
        [helper.make_empty_tensor_value_info(name) for name in node.output],
    )
    return helper.make_model(graph, opset_imports=list(model.opset_import))


def _without_identities(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Drop Identity nodes; who read their output reads their input."""
    source: dict[str, str] = {}
    producers = {name: node for node in nodes for name in node.output}
    kept = []
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = source.get(name, name)
        if node.op_type != "Identity":
            kept.append(node)
            continue
        origin, name = node.input[0], node.output[0]
        if name not in outputs:
            source[name] = origin
        elif origin in producers and origin not in outputs:
            # The producer takes the output's name itself; whoever reads it is renamed below.
            _rename_output(producers[origin], origin, name)
            source[origin] = name
            producers[name] = producers.pop(origin)
        else:
            kept.append(node)
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = source.get(name, name)
    return kept


def _rename_output(node: onnx.NodeProto, name: str, new_name: str) -> None:
    for place, output in enumerate(node.output):
        if output == name:
            node.output[place] = new_name


def _merge_copies(nodes: list[onnx.NodeProto], constants: dict[str, Array]) -> None:
    """Let every constant be read under one name, however often it was written."""
    first: dict[tuple[str, tuple[int, ...], str], str] = {}
    same = {
        name: first.setdefault(
            (value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()), name
        )
        for name, value in constants.items()
    }
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = same.get(name, name)


def needed(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """The nodes that some output depends on, in their order."""
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            kept.append(node)
    return kept[::-1]
