"""What an ONNX file holds, as far as it matters before onnxruntime opens it: files, operators, parts.

A large graph may keep tensors in files beside it, which onnxruntime opens by the names in the graph. To check
these and the operators before that, they are read straight from the protobuf encoding with the field numbers
of onnx.proto3; `onnx` itself isn't installed with the runtime.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.files import opening
from cxrscribe.bundle.protobuf import fields
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
        for number, value, first, last in fields(data, start, end):
            kind = known.get(number) if value is None else None
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
