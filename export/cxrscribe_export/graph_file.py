"""A graph written into a bundle's folder."""

from __future__ import annotations

from pathlib import Path

import onnx

from cxrscribe.bundle.files import FP32, FileEntry
from cxrscribe_export.graphs.checked_graph import Graph
from cxrscribe_export.graphs.conversion import OPSET


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
