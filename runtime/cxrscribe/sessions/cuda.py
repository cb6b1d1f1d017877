"""A GPU as onnxruntime finds it: CUDA's libraries, wherever pip put them, and what is missing by name."""

from __future__ import annotations

import ctypes
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from threading import get_ident
from typing import Final, TextIO

from cxrscribe.errors import DeviceError
from cxrscribe.forks import ForkSafeLock
from cxrscribe.sessions.device import CUDA, TENSORRT, Device, import_onnxruntime, missing

_FATAL: Final = 4
_WARNING: Final = 2
"""Severities of onnxruntime's loggers; it starts with the second."""

_LIBRARIES: Final = {CUDA.name: "onnxruntime_providers_cuda", TENSORRT.name: "onnxruntime_providers_tensorrt"}
_SHARED: Final = "onnxruntime_providers_shared"
"""A provider's library finds its half of onnxruntime through this one."""

_INSTALL: Final = (
    "Run pip install 'cxrscribe[gpu]', which brings the libraries of CUDA and cuDNN, or put that library "
    "where the loader looks"
)
_DRIVER: Final = "Install NVIDIA's driver, which brings that library (in a container: run it with its GPUs)"
_REMEDIES: Final = {
    "libcuda.so": _DRIVER,
    "nvcuda.dll": _DRIVER,
    "nvinfer": "Install NVIDIA's TensorRT libraries where the loader looks",
}
"""By part of a library's name; _INSTALL for all others."""

_loading: Final = ForkSafeLock()


@contextmanager
def cuda_ready() -> Iterator[None]:
    """To open a graph on a GPU in: CUDA's libraries are loaded from wherever they are, onnxruntime is quiet.

    The packages that `onnxruntime-gpu[cuda,cudnn]` brings have their libraries where no loader looks. What
    onnxruntime would write to the terminal, the error says. Afterwards its default logger writes warnings and
    what is worse, as it does when onnxruntime starts.
    """
    runtime = import_onnxruntime()
    with _loading:
        runtime.set_default_logger_severity(_FATAL)
        try:
            with suppress(Exception), redirect_stdout(_Silenced(sys.stdout or io.StringIO())):
                runtime.preload_dlls()  # prints what it doesn't find
            yield
        finally:
            runtime.set_default_logger_severity(_WARNING)


def gpu_missing(device: Device, reason: str = "") -> DeviceError:
    """The error that says that a GPU doesn't work, which library is missing, and what brings it.

    `reason` is what onnxruntime said, for where all libraries are there.
    """
    problem = _loading_problem(device)
    if not problem:
        return missing(device, reason)
    remedy = next((remedy for name, remedy in _REMEDIES.items() if name in problem), _INSTALL)
    return missing(device, problem, remedy)


def _loading_problem(device: Device) -> str:
    """What the loader says of the device's library: `libcublasLt.so.13: cannot open shared object file ...`.

    Empty where it can be loaded, or where this onnxruntime has no such library.
    """
    folder = Path(import_onnxruntime().__file__ or "").parent / "capi"
    try:
        for name in (_SHARED, _LIBRARIES[device.name]):
            file = next((file for file in _names(folder, name) if file.exists()), None)
            if file is not None:
                ctypes.CDLL(str(file), ctypes.RTLD_GLOBAL)
    except OSError as error:
        return " ".join(str(error).split())
    return ""


def _names(folder: Path, library: str) -> tuple[Path, ...]:
    return (folder / f"lib{library}.so", folder / f"{library}.dll")


class _Silenced:
    """Standard output without what this thread prints; what other threads print or ask of it goes through."""

    def __init__(self, through: TextIO) -> None:
        self._through = through
        self._silent = get_ident()

    def write(self, text: str) -> int:
        return len(text) if get_ident() == self._silent else self._through.write(text)

    def flush(self) -> None:
        self._through.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._through, name)
