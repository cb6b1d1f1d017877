"""One graph of a bundle, loaded into onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.device import AUTO, CPU, Device, find_devices, import_onnxruntime, missing
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.threads import usable_threads

Sizes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Name of an input or output -> size of its last axis; None for any."""

_ERRORS_ONLY: Final = 3  # onnxruntime's log severity


class Session:
    """A graph that is ready to run; safe to use from several threads."""

    def __init__(self, graph: Path, device: Device, threads: int) -> None:
        """Load `graph`, an ONNX file, to run on `device` with `threads` threads of the CPU.

        Raises DeviceError when the device turns out not to work, BundleError when the graph can't be loaded.
        """
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
            self._session = runtime.InferenceSession(graph, options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime's own errors have no common class below this one
            if device is not CPU:
                raise missing(device, _line(error)) from error
            raise BundleError(
                f"{graph} can't be loaded by onnxruntime ({_line(error)}); export the bundle again"
            ) from error
        # A provider whose libraries are missing may be left out without any error (issues 23372, 17801).
        if self._session.get_providers()[0] != device.provider:
            raise missing(device)
        self.graph = graph
        self.device = device
        self._inputs = {each.name: each.shape for each in self._session.get_inputs()}
        self._outputs = {each.name: each.shape for each in self._session.get_outputs()}

    def expect(self, inputs: Sizes, outputs: Sizes) -> None:
        """Raise BundleError unless the graph has these inputs and outputs, each with these last axes.

        An axis is only compared where the graph fixes its size.
        """
        for kind, found, wanted in (("inputs", self._inputs, inputs), ("outputs", self._outputs, outputs)):
            if set(found) != set(wanted):
                raise BundleError(
                    f"{self.graph} has the {kind} {', '.join(found)}, not {', '.join(wanted)}; "
                    "export the bundle again"
                )
            for name, sizes in wanted.items():
                last = found[name][len(found[name]) - len(sizes) :]
                pairs = zip(last, sizes, strict=True)
                if any(isinstance(axis, int) and axis != size for axis, size in pairs):
                    raise BundleError(
                        f"{self.graph} has {name!r} with last axes {list(last)}, but the manifest says "
                        f"{list(sizes)}; export the bundle again"
                    )

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order."""
        values: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs))
        return values


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
