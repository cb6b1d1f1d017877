"""A graph written into a bundle's folder."""

from __future__ import annotations

from pathlib import Path

import onnx

from cxrscribe.bundle.manifest import FP32, FileEntry, TensorEntry
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.conversion import OPSET
from cxrscribe_export.graphs.interface import Port


def write_graph(bundle: Path, graph: Graph, precision: str = FP32) -> FileEntry:
    """Write `graph` where the bundle keeps it at `precision`; gives what the manifest says of it."""
    name = graph.interface.file_name
    path = name if precision == FP32 else f"{precision}/{name}"
    (bundle / path).parent.mkdir(exist_ok=True)
    onnx.save(graph.model, str(bundle / path))
    return FileEntry.describe(
        bundle,
        path,
        precision=precision,
        opset=OPSET,
        inputs=[_tensor_entry(port) for port in graph.interface.inputs],
        outputs=[_tensor_entry(port) for port in graph.interface.outputs],
    )


def _tensor_entry(port: Port) -> TensorEntry:
    return TensorEntry(port.name, port.element_type, port.axes)
