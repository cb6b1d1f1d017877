"""The weights of a backbone, read back from the graph that a bundle's encoder is."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from cxrscribe.errors import MissingExtraError

# `export` keeps the names of an encoder's parts, and an encoder holds its backbone under this one.
_BACKBONE: Final = "backbone."


def read_graph_state(path: Path) -> dict[str, NDArray[Any]]:
    """All parameters and buffers that the graph has of its backbone, by the names they have there.

    Raises ValueError when it can't be read or has none, MissingExtraError where `onnx` isn't installed.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise MissingExtraError("reading a bundle's weights", "export") from None

    try:
        graph = onnx.load(path).graph
    except OSError:
        raise
    except Exception:  # protobuf's, which has no types to be checked by
        raise ValueError("it is no ONNX model") from None
    state = {
        tensor.name.removeprefix(_BACKBONE): numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.name.startswith(_BACKBONE)
    }
    if not state:
        raise ValueError("it has no weights of a backbone")
    return state
