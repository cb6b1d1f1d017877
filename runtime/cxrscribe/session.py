"""One graph of a bundle, loaded into onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.device import AUTO, CPU, Device, find_devices, import_onnxruntime, missing
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.file_entry import TensorEntry
from cxrscribe.threads import usable_threads

_ERRORS_ONLY: Final = 3  # onnxruntime's log severity


class Session:
    """A graph that is ready to run; safe to use from several threads."""

    def __init__(self, graph: Path, device: Device, threads: int) -> None:
        """Load `graph`, an ONNX file, to run on `device` with `threads` threads of the CPU.

        Raises DeviceError when the device turns out not to work, BundleError when the graph can't be loaded.
        """
        self._session = _create(graph, device, threads)
        # A provider whose libraries are missing may be left out without any error (issues 23372, 17801).
        if self._session.get_providers()[0] != device.provider:
            raise missing(device)
        self.graph = graph
        self.device = device

    def expect(self, inputs: Sequence[TensorEntry], outputs: Sequence[TensorEntry]) -> None:
        """Raise BundleError unless the graph has these inputs and outputs, in any order.

        An axis that has a size here may be left open by the graph; one that has a name here must be.
        """
        self._expect("inputs", self._session.get_inputs(), inputs)
        self._expect("outputs", self._session.get_outputs(), outputs)

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order. Raises DeviceError when onnxruntime fails."""
        try:
            values: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # see `_create`
            raise DeviceError(
                f"device {self.device.name!r} failed in {self.graph} ({_line(error)}); take smaller batches "
                "if its memory is full, else check it or export the bundle again"
            ) from error
        return values

    def _expect(self, kind: str, nodes: Sequence[Any], wanted: Sequence[TensorEntry]) -> None:
        found = [TensorEntry(node.name, _dtype(node.type), tuple(node.shape)) for node in nodes]
        if {entry.name for entry in found} != {entry.name for entry in wanted}:
            raise BundleError(
                f"{self.graph} has the {kind} {', '.join(entry.name for entry in found)}, not "
                f"{', '.join(entry.name for entry in wanted)}; export the bundle again"
            )
        by_name = {entry.name: entry for entry in found}
        for entry in wanted:
            if not _fits(by_name[entry.name], entry):
                raise BundleError(
                    f"{self.graph} has {_shown(by_name[entry.name])}, but the manifest says {_shown(entry)}; "
                    "export the bundle again"
                )


class SessionFactory:
    """Opens the graphs of one bundle, all on the same device."""

    def __init__(self, device: str = AUTO, threads: int | None = None) -> None:
        """Choose where to run. `threads` is None for as many as the process may use.

        Raises DeviceError when the device is unknown or missing, or `threads` is not at least 1.
        """
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise DeviceError(
                f"threads is {threads!r}; give a whole number of at least 1, or None for the best"
            )
        self.threads = threads or usable_threads()
        self._asked = device
        self._candidates = find_devices(device)
        if not self._candidates:
            raise missing(CPU)

    def open(self, graph: Path) -> Session:
        """Load a graph. Raises as `Session` does; under `auto`, a device that doesn't work is passed over."""
        while len(self._candidates) > 1:
            try:
                return self._settle(Session(graph, self._candidates[0], self.threads))
            except DeviceError:
                self._candidates = self._candidates[1:]
        return Session(graph, self._candidates[0], self.threads)

    def _settle(self, session: Session) -> Session:
        self._candidates = (session.device,)
        return session


def _create(graph: Path, device: Device, threads: int) -> Any:
    """An onnxruntime.InferenceSession."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Each session has its own threads. Those of one that has nothing to do must not slow the others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    providers = [(device.provider, dict(device.options))]
    if device is not CPU:
        providers.append((CPU.provider, {}))  # for the few nodes that only run there
    try:
        # Without enable_fallback=0, onnxruntime moves to the CPU by itself when the provider fails, now
        # or in a later run, and prints that on stdout.
        return runtime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's own errors have no common class below this one
        if device is CPU:
            raise BundleError(
                f"{graph} can't be loaded by onnxruntime ({_line(error)}); export the bundle again"
            ) from error
        _create(graph, CPU, threads)  # raises where the graph is at fault, and not the device
        raise missing(device, _line(error)) from error


def _dtype(kind: str) -> str:
    """What numpy calls a tensor's elements that onnxruntime calls, say, `tensor(float)`."""
    element = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(element, element)


def _fits(found: TensorEntry, wanted: TensorEntry) -> bool:
    """Whether a graph's tensor can be used as `wanted`."""
    if found.dtype != wanted.dtype or len(found.shape) != len(wanted.shape):
        return False
    axes = zip(found.shape, wanted.shape, strict=True)
    return all(size == asked for size, asked in axes if isinstance(size, int))


def _shown(entry: TensorEntry) -> str:
    return f"{entry.name!r} as {entry.dtype} [{', '.join(map(str, entry.shape))}]"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
