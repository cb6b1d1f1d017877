"""One graph of a bundle, loaded into onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.sessions.cuda import gpu_missing
from cxrscribe.sessions.device import CPU, Device, Memory, missing
from cxrscribe.sessions.native import open_native, open_optimized
from cxrscribe.sessions.placement import Placement
from cxrscribe.sessions.session_settings import SessionSettings


class Session:
    """A graph that is ready to run; safe to use from several threads."""

    def __init__(
        self, graph: Path, settings: SessionSettings, *, name: str = "", optimized: Path | None = None
    ) -> None:
        """Load `graph`, an ONNX file that its bundle calls `name`, or else what has been made of it before.

        `optimized` is that other file, from the cache.

        Raises DeviceError when the device turns out not to work or to leave the whole graph to another one,
        BundleError when the graph can't be loaded.
        """
        self._session = _open(graph, settings, optimized)
        self.graph = graph
        self.device = settings.device
        """The device that was asked for. What runs where, `placement` says."""
        self.placement = Placement.of(name or graph.name, self._session.get_provider_graph_assignment_info())
        """Where the nodes really run."""
        self._attest(settings)

    @property
    def native(self) -> Any:
        """The onnxruntime.InferenceSession, for what `run` doesn't offer. Not to be changed."""
        return self._session

    def expect(self, interface: GraphInterface) -> None:
        """Raise BundleError unless the graph has the interface's inputs and outputs, in any order.

        An axis that has a size here may be left open by the graph; one that has a name here must be.
        """
        self._expect("inputs", self._session.get_inputs(), interface.inputs)
        self._expect("outputs", self._session.get_outputs(), interface.outputs)

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order. Raises DeviceError when onnxruntime fails."""
        try:
            values: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # see `_open`
            raise self.failure(error) from error
        return values

    def failure(self, error: Exception) -> DeviceError:
        """What to raise when onnxruntime failed in this graph."""
        return DeviceError(
            f"device {self.device.name!r} failed in {self.graph} ({_line(error)}); take smaller batches "
            "if its memory is full, else check it or export the bundle again"
        )

    def _attest(self, settings: SessionSettings) -> None:
        """Raise DeviceError where the device runs nothing of the graph.

        A provider whose libraries are missing may be left out without any error (onnxruntime issues 23372 and
        17801), and one that is there may decline every node.
        """
        if self._session.get_providers()[0] != settings.provider.name:
            raise _not_there(settings.device)
        if not settings.on_cpu and settings.provider.name not in self.placement.nodes:
            raise missing(settings.device, f"it takes no node of {self.graph}: {self.placement}")

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


def _open(graph: Path, settings: SessionSettings, optimized: Path | None) -> Any:
    """An onnxruntime.InferenceSession."""
    try:
        if optimized is not None:
            return open_optimized(optimized, settings)
        return open_native(graph, settings)
    except DeviceError:
        raise
    except Exception as error:  # onnxruntime's own errors have no common class below this one
        if settings.on_cpu:
            raise BundleError(
                f"{graph} can't be loaded by onnxruntime ({_line(error)}); export the bundle again"
            ) from error
        _open(graph, replace(settings, device=CPU), None)  # raises where the graph is at fault
        raise _not_there(settings.device, _line(error)) from error


def _not_there(device: Device, reason: str = "") -> DeviceError:
    return gpu_missing(device, reason) if device.memory is Memory.CUDA else missing(device, reason)


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
