"""What an ONNX file holds, as far as it matters before onnxruntime opens it: files, operators, parts.

A large graph may keep tensors in files beside it, which onnxruntime opens by the names in the graph. To check
these and the operators before that, they are read straight from the protobuf encoding
(https://protobuf.dev/programming-guides/encoding) with the field numbers of onnx.proto3; `onnx` itself isn't
installed with the runtime. Whatever protobuf's own parser takes is seen here, or refused: of two readings of
one file, the other would be the one that runs.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.files import opening
from cxrscribe.errors import BundleError
from cxrscribe.regular_file import open_regular

MODEL: Final = "Model"
GRAPH: Final = "Graph"
NODE: Final = "Node"
TENSOR: Final = "Tensor"
_ATTRIBUTE: Final = "Attribute"
_ENTRY: Final = "Entry"
_TEXT: Final = "text"
# Message -> field number -> what is in that field, for every way from a model to a tensor or a node.
_FIELDS: Final = {
    MODEL: {7: GRAPH, 20: "Training", 25: "Function"},
    "Training": {1: GRAPH, 2: GRAPH},
    "Function": {7: NODE, 11: _ATTRIBUTE},
    GRAPH: {1: NODE, 5: TENSOR, 15: "SparseTensor"},
    NODE: {4: _TEXT, 5: _ATTRIBUTE, 7: _TEXT},
    _ATTRIBUTE: {
        5: TENSOR,
        6: GRAPH,
        10: TENSOR,
        11: GRAPH,
        22: "SparseTensor",
        23: "SparseTensor",
    },
    "SparseTensor": {1: TENSOR, 2: TENSOR},
    TENSOR: {13: _ENTRY},
    _ENTRY: {1: _TEXT, 2: _TEXT},
}
_OPERATOR, _DOMAIN = 4, 7  # fields of a node
_KEY, _VALUE = 1, 2  # fields of an entry
_LOCATION: Final = b"location"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10
# Protobuf reads no more bytes of these, and keeps 32 bits of a tag: a larger one is another field there.
_LONGEST_TAG: Final = 5
_TAGS: Final = 1 << 32
_SIZES: Final = 1 << 31
_DEEPEST: Final = 100
"""Messages within each other; protobuf takes no more either."""


@dataclass(frozen=True)
class GraphContents:
    """What stands in an ONNX file, wherever it stands in it."""

    external: tuple[str, ...]
    """Names of the files that tensors are kept in, each once, in order; mostly none."""
    operators: frozenset[tuple[str, str]]
    """Domain and name of the operator of every node."""
    kinds: frozenset[tuple[str, str]]
    """Which part holds which, as onnx.proto3 calls them less `Proto`: `("Graph", "Node")`."""

    @classmethod
    def read(cls, graph: Path) -> GraphContents:
        """Read the ONNX file `graph`. Raises BundleError when it can't be opened or isn't an ONNX file."""
        try:
            with (
                opening(graph),
                open_regular(graph) as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                return _contents(data)
        except (ValueError, IndexError) as error:
            raise BundleError(f"{graph} is not an ONNX file ({error}); export the bundle again") from None


def external_files(graph: Path) -> tuple[str, ...]:
    """Names of the files that the ONNX file `graph` keeps tensors in. Raises as `GraphContents.read`."""
    return GraphContents.read(graph).external


def _contents(data: mmap.mmap) -> GraphContents:
    external: dict[str, None] = {}
    operators: set[tuple[str, str]] = set()
    kinds: set[tuple[str, str]] = set()
    waiting = [(MODEL, 0, len(data), 0)]
    while waiting:
        message, start, end, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"parts within each other deeper than {_DEEPEST} levels")
        known = _FIELDS[message]
        texts: dict[int, bytes] = {}
        inside: list[tuple[str, int, int, int]] = []
        for number, first, last in _fields(data, start, end):
            kind = known.get(number)
            if kind == _TEXT:
                texts[number] = data[first:last]  # the last one of several holds, as in protobuf
            elif kind is not None:
                kinds.add((message, kind))
                inside.append((kind, first, last, depth + 1))
        if message == NODE:
            operators.add((texts.get(_DOMAIN, b"").decode(), texts.get(_OPERATOR, b"").decode()))
        elif message == _ENTRY and texts.get(_KEY) == _LOCATION:
            external[texts.get(_VALUE, b"").decode()] = None
        waiting.extend(reversed(inside))
    return GraphContents(tuple(external), frozenset(operators), frozenset(kinds))


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field with bytes in it; the other kinds of fields are skipped."""
    at = start
    while at < end:
        tag, at = _varint(data, at, _LONGEST_TAG, _TAGS)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError(f"a field without number before byte {at}")
        if kind == _BYTES:
            size, first = _varint(data, at, _LONGEST_TAG, _SIZES)
            at = first + size
        elif kind == _VARINT:
            _, at = _varint(data, at, _LONGEST_VARINT)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")
        if at > end:
            raise ValueError(f"a field runs past the end of its part, byte {end}")
        if kind == _BYTES:
            yield number, first, at


def _varint(data: mmap.mmap, at: int, longest: int, below: int | None = None) -> tuple[int, int]:
    """A number in base 128, low digits first, and where it ends."""
    number = 0
    for digit in range(longest):
        byte = data[at + digit]
        number |= (byte & 127) << 7 * digit
        if byte < 128:
            if below is not None and number >= below:
                raise ValueError(f"the number at byte {at} is {number}, too large")
            return number, at + digit + 1
    raise ValueError(f"the number at byte {at} has no end")
