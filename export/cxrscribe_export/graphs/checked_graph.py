"""A finished graph, and the check that makes it one: valid, standard operators, exactly its interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import FP32, FileEntry, TensorEntry
from cxrscribe.bundle.operators import foreign_operators
from cxrscribe_export.graphs.conversion import OPSET, ConversionError
from cxrscribe_export.graphs.naming import ELEMENT_TYPES

Signature = tuple[str, int, tuple[int | str, ...]]


@dataclass(frozen=True)
class Graph:
    """A finished graph and the interface that it was checked against."""

    interface: GraphInterface
    model: onnx.ModelProto


def check(model: onnx.ModelProto, interface: GraphInterface) -> None:
    """Check that a graph is valid, of the standard domain and our opset, and has exactly this interface.

    Raises:
        ConversionError: it isn't.
    """
    problem = _problem(model, interface)
    if problem:
        raise ConversionError(f"graph {interface.name!r} {problem}: paddle2onnx gave something unexpected")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"graph {interface.name!r} is not valid ONNX: {error}") from error


def _problem(model: onnx.ModelProto, interface: GraphInterface) -> str | None:
    opsets = {(entry.domain, entry.version) for entry in model.opset_import}
    if opsets != {("", OPSET)}:
        return f"uses {sorted(opsets)}, not the standard domain at opset {OPSET}"
    foreign = foreign_operators(frozenset((node.domain, node.op_type) for node in model.graph.node))
    if foreign:
        return f"uses operators that no graph of a bundle may ({', '.join(foreign)})"
    for kind, values, tensors in (
        ("inputs", model.graph.input, interface.inputs),
        ("outputs", model.graph.output, interface.outputs),
    ):
        found, wanted = [_tensor(value) for value in values], [_signature(tensor) for tensor in tensors]
        if found != wanted:
            return f"has {kind} {found}, not {wanted}"
    return None


def _tensor(value: onnx.ValueInfoProto) -> Signature:
    tensor = value.type.tensor_type
    axes = tuple(axis.dim_param or axis.dim_value for axis in tensor.shape.dim)
    return value.name, tensor.elem_type, axes


def _signature(tensor: TensorEntry) -> Signature:
    return tensor.name, ELEMENT_TYPES[tensor.dtype], tensor.shape


def write_graph(bundle: Path, graph: Graph, precision: str = FP32) -> FileEntry:
    """Write `graph` where the bundle keeps it at `precision`; gives what the manifest says of it."""
    name = graph.interface.name
    path = name if precision == FP32 else f"{precision}/{name}"
    (bundle / path).parent.mkdir(exist_ok=True)
    onnx.save(graph.model, str(bundle / path))
    return FileEntry.describe(
        bundle,
        path,
        precision=precision,
        opset=OPSET,
        inputs=graph.interface.inputs,
        outputs=graph.interface.outputs,
    )
