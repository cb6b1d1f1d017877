"""Optimize a model once on the machine that it runs on: quicker starts, and half the memory.

from optimized import open_optimized, or, to do it before the first start:
python optimized.py report.onnx FOLDER
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is imported

import onnxruntime

SMALLEST_WEIGHT = 1024  # bytes: smaller ones stay in the graph
CPU = ["CPUExecutionProvider"]


def open_optimized(model: Path, folder: Path) -> onnxruntime.InferenceSession:
    """A session on the graph that `optimized_graph` gives, whose weights are mapped into memory.

    One that can't be opened, because it or its weights are damaged, is written anew.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    graph = optimized_graph(model, folder)
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=CPU)
    except Exception:
        graph.unlink(missing_ok=True)
        graph = optimized_graph(model, folder)
        return onnxruntime.InferenceSession(str(graph), options, providers=CPU)


def optimized_graph(model: Path, folder: Path) -> Path:
    """The model as onnxruntime optimized it for this machine; written when it isn't in `folder` yet.

    It is right for this file, this processor and this release of onnxruntime alone: its name is made of them.
    """
    status = model.stat()
    kind = (status.st_size, status.st_mtime_ns, onnxruntime.__version__, processor())
    name = hashlib.sha256(repr(kind).encode()).hexdigest()[:16]
    graph = folder / f"{name}.onnx"
    if not graph.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished, weights = (folder / f"{name}.{os.getpid()}.{end}" for end in ("part", "weights"))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(unfinished)
        key = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{key}_file_name", weights.name)
        options.add_session_config_entry(f"{key}_min_size_in_bytes", str(SMALLEST_WEIGHT))
        # This session runs nothing: to rearrange its weights would only take time and memory.
        options.add_session_config_entry("session.disable_prepacking", "1")
        try:
            onnxruntime.InferenceSession(str(model), options, providers=CPU)
            unfinished.replace(graph)
        except Exception:
            for path in (unfinished, weights):
                path.unlink(missing_ok=True)
            raise
    return graph


def processor() -> str:
    """Name and instruction sets, which Linux says; elsewhere what Python knows."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "".join(
        line for line in first.splitlines() if line.startswith(("model name", "flags", "Features", "CPU "))
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python optimized.py report.onnx FOLDER")
    try:
        print(optimized_graph(Path(sys.argv[1]), Path(sys.argv[2])))
    except Exception as error:
        sys.exit(f"Error: {error}")
