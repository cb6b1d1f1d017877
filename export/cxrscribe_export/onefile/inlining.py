"""Graphs put into other graphs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import onnx

from cxrscribe_export.graphs.graph_builder import GraphBuilder


def inline(
    graph: GraphBuilder, model: onnx.ModelProto, prefix: str, inputs: Mapping[str, str]
) -> dict[str, str]:
    """Add the nodes and constants of `model`, whose names get `prefix`, and whose inputs are `inputs`.

    Gives the name of each of its outputs in `graph`. `model` has no subgraphs.
    """
    names = dict(inputs)
    for tensor in model.graph.initializer:
        names[tensor.name] = prefix + tensor.name
        constant = onnx.TensorProto()
        constant.CopyFrom(tensor)
        constant.name = names[tensor.name]
        graph.constants.append(constant)
    for node in model.graph.node:
        names |= {output: prefix + output for output in node.output if output}
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = prefix + node.name if node.name else ""
        copy.input[:] = [names[name] if name else "" for name in node.input]
        copy.output[:] = [names[name] if name else "" for name in node.output]
        graph.nodes.append(copy)
    return {value.name: names[value.name] for value in model.graph.output}


def merge_copies(graph: onnx.GraphProto) -> None:
    """Keep each constant once: of a graph's own the first, in a subgraph none that stands outside it."""
    _merge(graph, {})


def _merge(graph: onnx.GraphProto, outside: Mapping[bytes, str]) -> None:
    first = dict(outside)
    names: dict[str, str] = {}
    kept: list[onnx.TensorProto] = []
    for tensor in graph.initializer:
        names[tensor.name] = first.setdefault(_content(tensor), tensor.name)
        if names[tensor.name] == tensor.name:
            kept.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(kept)
    _rename_inputs(graph.node, names)
    for subgraph in subgraphs(graph.node):
        _merge(subgraph, first)


def _content(tensor: onnx.TensorProto) -> bytes:
    nameless = onnx.TensorProto()
    nameless.CopyFrom(tensor)
    nameless.ClearField("name")
    return hashlib.sha256(nameless.SerializeToString(deterministic=True)).digest()


def _rename_inputs(nodes: Iterable[onnx.NodeProto], names: Mapping[str, str]) -> None:
    for node in nodes:
        node.input[:] = [names.get(name, name) for name in node.input]
        for subgraph in subgraphs([node]):
            _rename_inputs(subgraph.node, names)


def subgraphs(nodes: Iterable[onnx.NodeProto]) -> list[onnx.GraphProto]:
    """The graphs that these nodes hold, bodies of loops say."""
    return [attribute.g for node in nodes for attribute in node.attribute if attribute.HasField("g")]
