"""Convolutions of bytes in the form that onnxruntime multiplies with AMX, on processors that have it.

onnxruntime has kernels of its own for convolutions whose weights have the zero point 0, and they don't use
AMX. Others become matrix products, which do. So the weights and their zero points are raised by 1, in the
graph's bytes, before onnxruntime reads them: a weight is code - zero point, and every sum stays the same to
the bit. Measured with a ResNet-101 at 224 pixels, 8 films, two threads of a Xeon with AMX: 1.3 times as fast.
Without AMX the products are slower than the kernels, 0.8 times as fast, so it depends on the processor.
"""

from __future__ import annotations

import mmap
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.protobuf import Encoded, fields, packed
from cxrscribe.sessions.device import name_and_flags, processor

DEEP: Final = 256
"""Products for one output from which on a matrix product is faster than the convolution's own kernel."""
_AMX: Final = "amx_int8"
# Of Linux on x86: what asks for the use of AMX's registers, as onnxruntime does too.
_ARCH_PRCTL: Final = 158
_ARCH_REQ_XCOMP_PERM: Final = 0x1023
_TILE_DATA: Final = 18
# Numbers of fields in onnx.proto.
_MODEL_GRAPH: Final = 7
_NODE, _INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER = 1, 3
_TENSOR_SHAPE, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_BYTES, _TENSOR_LOCATION = 1, 2, 8, 9, 14
_INT8: Final = 3
_CODE_SCALE_ZERO: Final = 3
"""Inputs of DequantizeLinear."""


@cache
def multiplies_with_amx() -> bool:
    """Whether this processor has AMX for bytes, and the system lets this process use it."""
    _, flags = name_and_flags(processor())
    if flags is None or _AMX not in flags:
        return False
    import ctypes

    return bool(ctypes.CDLL(None).syscall(_ARCH_PRCTL, _ARCH_REQ_XCOMP_PERM, _TILE_DATA) == 0)


def graph_for_this_machine(graph: Path) -> Path | bytes:
    """What onnxruntime's CPU kernels are to load in place of the file `graph`; it, or changed content."""
    if not multiplies_with_amx() or graph.stat().st_size == 0:
        return graph
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        changed = in_matrix_form(content)
    return graph if changed is None else changed


def in_matrix_form(model: Encoded) -> bytes | None:
    """An ONNX model whose deep convolutions of bytes become matrix products; None where it has none.

    None too for what can't be read as a model, or has weights in other files.
    """
    try:
        weights = _deep_weights(model)
    except (ValueError, IndexError):  # no model: onnxruntime will say what is wrong
        return None
    if not weights:
        return None
    changed = np.frombuffer(model, np.int8).copy()
    for tensor in weights:
        changed[tensor.content.start : tensor.content.stop] += 1
    return changed.tobytes()


@dataclass
class _Node:
    operator: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    group: int = 1


@dataclass
class _Tensor:
    shape: list[int] = field(default_factory=list)
    kind: int = 0
    content: range = range(0)
    """Where its bytes are in the model."""
    is_elsewhere: bool = False

    @property
    def is_int8(self) -> bool:
        """Whether it is of signed bytes that are in the model."""
        return self.kind == _INT8 and 0 < len(self.content) == int(np.prod(self.shape))

    def values(self, model: Encoded) -> NDArray[np.int8]:
        """Those of an int8 tensor."""
        return np.frombuffer(model[self.content.start : self.content.stop], np.int8)


def _deep_weights(model: Encoded) -> list[_Tensor]:
    """Codes and zero points of the weights of deep convolutions, all of them int8."""
    nodes, tensors = _read(model)
    if any(tensor.is_elsewhere for tensor in tensors.values()):
        return []
    uses = Counter(name for node in nodes for name in node.inputs)
    made_by = {node.outputs[0]: node for node in nodes}
    changed = []
    for node in nodes:
        weight = made_by.get(node.inputs[1]) if node.operator == "Conv" and node.group == 1 else None
        if weight is None or weight.operator != "DequantizeLinear" or len(weight.inputs) != _CODE_SCALE_ZERO:
            continue
        name, _, zero_name = weight.inputs
        code, zero = tensors.get(name, _Tensor()), tensors.get(zero_name, _Tensor())
        if (
            code.is_int8
            and zero.is_int8
            and uses[name] == uses[zero_name] == 1
            and int(np.prod(code.shape[1:])) >= DEEP
            and code.values(model).max() < np.iinfo(np.int8).max
            and not zero.values(model).any()
        ):
            changed += [code, zero]
    return changed


def _read(model: Encoded) -> tuple[list[_Node], dict[str, _Tensor]]:
    """The nodes and the constants by name. Raises ValueError where it isn't as protobuf writes it."""
    nodes: list[_Node] = []
    tensors: dict[str, _Tensor] = {}
    graphs = [place for number, _, *place in fields(model, 0, len(model)) if number == _MODEL_GRAPH]
    for graph in graphs:
        for number, _, *part in fields(model, *graph):
            if number == _NODE:
                nodes.append(_node(model, *part))
            elif number == _INITIALIZER:
                name, tensor = _tensor(model, *part)
                tensors[name] = tensor
    return nodes, tensors


def _node(model: Encoded, start: int, end: int) -> _Node:
    node = _Node()
    for number, _, first, last in fields(model, start, end):
        if number == _NODE_INPUT:
            node.inputs.append(_text(model, first, last))
        elif number == _NODE_OUTPUT:
            node.outputs.append(_text(model, first, last))
        elif number == _NODE_OPERATOR:
            node.operator = _text(model, first, last)
        elif number == _NODE_ATTRIBUTE:
            name, value = "", 0
            for kind, whole, *place in fields(model, first, last):
                name = _text(model, *place) if kind == _ATTRIBUTE_NAME else name
                value = whole if kind == _ATTRIBUTE_INTEGER and whole is not None else value
            node.group = value if name == "group" else node.group
    return node


def _tensor(model: Encoded, start: int, end: int) -> tuple[str, _Tensor]:
    name, tensor = "", _Tensor()
    for number, value, first, last in fields(model, start, end):
        if number == _TENSOR_SHAPE:
            tensor.shape += packed(model, first, last) if value is None else [value]
        elif number == _TENSOR_TYPE:
            tensor.kind = value or 0
        elif number == _TENSOR_NAME:
            name = _text(model, first, last)
        elif number == _TENSOR_BYTES:
            tensor.content = range(first, last)
        elif number == _TENSOR_LOCATION:
            tensor.is_elsewhere = bool(value)
    return name, tensor


def _text(model: Encoded, start: int, end: int) -> str:
    return model[start:end].decode()
