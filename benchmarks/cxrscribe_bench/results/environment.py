"""What a run was made on: processor, memory, system, versions, load. Figures mean nothing without it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from cxrscribe.sessions.device import name_and_flags, processor, read_processor, usable_threads

PACKAGES: Final = (
    "cxrscribe",
    "numpy",
    "pillow",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "paddlepaddle",
    "paddle2onnx",
    "onnx",
    "h5py",
    "torch",
    "mlcommons-loadgen",
    "pytest-benchmark",
)
"""Distributions whose version can change a figure, by the names they are installed under."""


def environment(cpuinfo: Path | None = None) -> dict[str, Any]:
    """This machine, now; JSON values, None for what the system doesn't tell.

    `processor` (name), `flags` (instruction sets), `cores`, `threads` (that this process may use),
    `memory_bytes` (of the whole machine), `system`, `python`, `versions` (of the installed `PACKAGES`) and
    `load` (means over 1, 5 and 15 minutes). `cpuinfo` is a file to read in place of /proc/cpuinfo.
    """
    name, flags = name_and_flags(processor() if cpuinfo is None else read_processor(cpuinfo))
    return {
        "processor": name,
        "flags": flags,
        "cores": os.cpu_count(),
        "threads": usable_threads(),
        "memory_bytes": _memory_bytes(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": _versions(),
        "load": load(),
    }


def load() -> list[float] | None:
    """Runnable processes, mean over 1, 5 and 15 minutes; None on Windows."""
    try:
        return list(os.getloadavg())
    except (AttributeError, OSError):
        return None


def _memory_bytes() -> int | None:
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    return pages * size if pages > 0 and size > 0 else None


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
