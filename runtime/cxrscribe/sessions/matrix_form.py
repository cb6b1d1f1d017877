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
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

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
# How protobuf writes a field.
_VARINT, _EIGHT_BYTES, _COUNTED, _FOUR_BYTES = 0, 1, 2, 5
_VARINT_BITS: Final = 70

Model: TypeAlias = bytes | mmap.mmap


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


def in_matrix_form(model: Model) -> bytes | None:
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

    def values(self, model: Model) -> NDArray[np.int8]:
        """Those of an int8 tensor."""
        return np.frombuffer(model[self.content.start : self.content.stop], np.int8)


def _deep_weights(model: Model) -> list[_Tensor]:
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


def _read(model: Model) -> tuple[list[_Node], dict[str, _Tensor]]:
    """The nodes and the constants by name. Raises ValueError where it isn't as protobuf writes it."""
    nodes: list[_Node] = []
    tensors: dict[str, _Tensor] = {}
    for graph in _parts(model, range(len(model)), _MODEL_GRAPH):
        for number, _, part in _fields(model, graph):
            if number == _NODE:
                nodes.append(_node(model, part))
            elif number == _INITIALIZER:
                name, tensor = _tensor(model, part)
                tensors[name] = tensor
    return nodes, tensors


def _node(model: Model, place: range) -> _Node:
    node = _Node()
    for number, _, part in _fields(model, place):
        if number == _NODE_INPUT:
            node.inputs.append(_text(model, part))
        elif number == _NODE_OUTPUT:
            node.outputs.append(_text(model, part))
        elif number == _NODE_OPERATOR:
            node.operator = _text(model, part)
        elif number == _NODE_ATTRIBUTE:
            name, value = "", 0
            for kind, whole, inner in _fields(model, part):
                name = _text(model, inner) if kind == _ATTRIBUTE_NAME else name
                value = whole if kind == _ATTRIBUTE_INTEGER else value
            node.group = value if name == "group" else node.group
    return node


def _tensor(model: Model, place: range) -> tuple[str, _Tensor]:
    name, tensor = "", _Tensor()
    for number, value, part in _fields(model, place):
        if number == _TENSOR_SHAPE:
            tensor.shape += _varints(model, part) if part else [value]
        elif number == _TENSOR_TYPE:
            tensor.kind = value
        elif number == _TENSOR_NAME:
            name = _text(model, part)
        elif number == _TENSOR_BYTES:
            tensor.content = part
        elif number == _TENSOR_LOCATION:
            tensor.is_elsewhere = value != 0
    return name, tensor


def _parts(model: Model, place: range, number: int) -> Iterator[range]:
    return (part for found, _, part in _fields(model, place) if found == number)


def _fields(model: Model, place: range) -> Iterator[tuple[int, int, range]]:
    """Of a message: number, and the value if it is a varint, or else where the content is."""
    position = place.start
    while position < place.stop:
        key, position = _varint(model, position)
        number, kind = key >> 3, key & 7
        value, size = 0, {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(kind, 0)
        if kind in (_VARINT, _COUNTED):
            value, position = _varint(model, position)
        if kind == _COUNTED:
            value, size = 0, value
        elif kind not in (_VARINT, _EIGHT_BYTES, _FOUR_BYTES):
            raise ValueError(f"a field of kind {kind}")
        if position + size > place.stop:
            raise ValueError("a field goes beyond its message")
        yield number, value, range(position, position + size)
        position += size


def _varint(model: Model, position: int) -> tuple[int, int]:
    """A number, and where what comes after it begins."""
    value, shift = 0, 0
    while shift < _VARINT_BITS:
        byte = model[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("a number without an end")


def _varints(model: Model, place: range) -> list[int]:
    values, position = [], place.start
    while position < place.stop:
        value, position = _varint(model, position)
        values.append(value)
    return values


def _text(model: Model, place: range) -> str:
    return model[place.start : place.stop].decode()
