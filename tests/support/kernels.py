"""Which kernels onnxruntime makes of a graph."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import onnxruntime


def kernels(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """Operators of the graph after onnxruntime's optimization for this processor."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimized = onnx.load(str(folder / "optimized.onnx"))
    return Counter(node.op_type for node in optimized.graph.node)
