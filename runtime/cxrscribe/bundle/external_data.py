"""Which other files an ONNX graph takes its weights from.

A large graph may keep tensors in files beside it; onnxruntime opens these by the names in the graph. To check
them before that, their names are read straight from the protobuf encoding
(https://protobuf.dev/programming-guides/encoding) with the field numbers of onnx.proto3; `onnx` itself isn't
installed with the runtime.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cxrscribe.bundle.files import opening
from cxrscribe.errors import BundleError

# Message -> field number -> message in that field, for every way from a model to a tensor.
_FIELDS: Final = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 11: "Attribute"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Node": {5: "Attribute"},
    "Attribute": {
        5: "Tensor",
        6: "Graph",
        10: "Tensor",
        11: "Graph",
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
    "Entry": {1: "key", 2: "value"},
}
_LOCATION: Final = b"location"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10


def external_files(graph: Path) -> tuple[str, ...]:
    """Names of the files that the ONNX file `graph` keeps tensors in, each once, in order; mostly none.

    Raises BundleError when the file can't be opened or isn't an ONNX file.
    """
    try:
        with (
            opening(graph),
            graph.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            return tuple(dict.fromkeys(_locations(data)))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise BundleError(f"{graph} is not an ONNX file ({error}); export the bundle again") from None


def _locations(data: mmap.mmap) -> Iterator[str]:
    waiting = [("Model", 0, len(data))]
    while waiting:
        message, start, end = waiting.pop()
        inside: list[tuple[str, int, int]] = []
        for number, first, last in _fields(data, start, end):
            if number in _FIELDS[message]:
                inside.append((_FIELDS[message][number], first, last))
        if message == "Entry":
            entry = {name: data[first:last] for name, first, last in inside}
            if entry.get("key") == _LOCATION:
                yield entry.get("value", b"").decode("utf-8")
        else:
            waiting.extend(reversed(inside))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field with bytes in it; the other kinds of fields are skipped."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError(f"the field at byte {at} runs past the end")
            yield number, at, at + size
            at += size
        elif kind == _VARINT:
            _, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    """A number in base 128, low digits first, and where it ends."""
    number = 0
    for digit in range(_LONGEST_VARINT):
        byte = data[at + digit]
        number |= (byte & 127) << 7 * digit
        if byte < 128:
            return number, at + digit + 1
    raise ValueError(f"the number at byte {at} has no end")
