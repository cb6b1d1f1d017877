"""Names inside a graph: the bundle's for inputs, outputs and free axes, the network's for its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry

Array = npt.NDArray[Any]
Content = tuple[tuple[int, ...], str]

ELEMENT_TYPES: Final = {
    "uint8": TensorProto.UINT8,
    "int64": TensorProto.INT64,
    "float32": TensorProto.FLOAT,
}


def rename(model: onnx.ModelProto, interface: GraphInterface, weights: Mapping[str, Array]) -> None:
    """Rename, in place, everything in `model`'s graph.

    The converter's own names count up over a process, so the same network would give other bytes each time.

    Args:
        model: a graph with as many inputs and outputs as `interface`, in its order.
        interface: the names to give to them and to their free axes.
        weights: the network's weights by name. A constant that equals one is called by its name, one that
            equals its transpose `<name>_transposed`; the rest is numbered.
    """
    graph = model.graph
    names = _tensor_names(graph.input, interface.inputs) | _tensor_names(graph.output, interface.outputs)
    names |= _constant_names(graph.initializer, weights, taken=set(names.values()))
    for place, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{place}"
        for output, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_output_{output}" if name else "")
    for tensor in graph.initializer:
        tensor.name = names[tensor.name]
    for node in graph.node:
        node.input[:] = [names[name] if name else "" for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    graph.name = interface.stem
    graph.doc_string = ""
    del graph.input[:], graph.output[:]
    graph.input.extend(_value_info(tensor) for tensor in interface.inputs)
    graph.output.extend(_value_info(tensor) for tensor in interface.outputs)


def _tensor_names(values: Iterable[onnx.ValueInfoProto], tensors: tuple[TensorEntry, ...]) -> dict[str, str]:
    return {value.name: tensor.name for value, tensor in zip(values, tensors, strict=True)}


def _constant_names(
    tensors: Iterable[onnx.TensorProto], weights: Mapping[str, Array], taken: set[str]
) -> dict[str, str]:
    known = {_content(value.T): f"{name}_transposed" for name, value in weights.items() if value.ndim == 2}
    known |= {_content(value): name for name, value in weights.items()}
    names: dict[str, str] = {}
    for number, tensor in enumerate(tensors):
        name = known.get(_content(numpy_helper.to_array(tensor)), f"constant_{number}")
        names[tensor.name] = f"constant_{number}" if name in taken else name
        taken.add(names[tensor.name])
    return names


def _content(value: Array) -> Content:
    return value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()


def _value_info(tensor: TensorEntry) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(tensor.name, ELEMENT_TYPES[tensor.dtype], list(tensor.shape))
