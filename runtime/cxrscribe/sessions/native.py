"""onnxruntime's own session of one graph: all that is asked of it when it is made."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

from cxrscribe.sessions.cuda import cuda_ready
from cxrscribe.sessions.device import OPENVINO, Memory, import_onnxruntime
from cxrscribe.sessions.openvino import openvino_options, openvino_processors
from cxrscribe.sessions.session_settings import SessionSettings

_FATAL_ONLY: Final = 4
"""Severity of what onnxruntime logs to the terminal. Its errors are raised, and say the same."""
_SMALLEST_WEIGHT: Final = 1024
"""Bytes from which on a tensor goes into the file of weights: smaller ones would only make it longer."""


def open_native(graph: Path, settings: SessionSettings) -> Any:
    """An onnxruntime.InferenceSession of an ONNX file. Raises whatever onnxruntime does, and DeviceError."""
    return _create(graph, settings, _options(settings))


def open_optimized(graph: Path, settings: SessionSettings) -> Any:
    """Of a graph that `write_optimized` wrote: it is taken as it is, and its weights are memory-mapped."""
    options = _options(settings)
    options.graph_optimization_level = import_onnxruntime().GraphOptimizationLevel.ORT_DISABLE_ALL
    return _create(graph, settings, options)


def write_optimized(graph: Path, settings: SessionSettings, to: Path, weights: str) -> None:
    """Write `graph` to the file `to` as onnxruntime optimizes it for this machine, its weights beside it.

    `weights` is the name of their file, which is left out where there are only small ones. Raises whatever
    onnxruntime does.
    """
    options = _options(settings)
    options.optimized_model_filepath = str(to)
    options.add_session_config_entry("session.optimized_model_external_initializers_file_name", weights)
    options.add_session_config_entry(
        "session.optimized_model_external_initializers_min_size_in_bytes", str(_SMALLEST_WEIGHT)
    )
    # This session runs nothing: rearranging its weights would only take time and memory.
    options.add_session_config_entry("session.disable_prepacking", "1")
    _create(graph, settings, options)


def _options(settings: SessionSettings) -> Any:
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Each session has its own threads. Those of one that has nothing to do must not slow the others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spinning else "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _create(graph: Path, settings: SessionSettings, options: Any) -> Any:
    session = import_onnxruntime().InferenceSession
    # Without enable_fallback=0, onnxruntime moves to the CPU by itself when the provider fails, now or in a
    # later run, and prints that on stdout.
    if settings.provider in OPENVINO.encoder[:1]:
        chosen = openvino_options(settings.threads, settings.exact)
        options.add_provider_for_devices(openvino_processors(), chosen)
        return session(graph, options, enable_fallback=0)
    providers = [(provider.name, provider.chosen(settings.exact)) for provider in settings.providers]
    with cuda_ready() if settings.device.memory is Memory.CUDA else nullcontext():
        return session(graph, options, providers=providers, enable_fallback=0)
