"""One graph of a bundle, loaded into onnxruntime: how it is to run, where it really does, and its session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.forks import keep_from_forks
from cxrscribe.sessions.cuda import cuda_ready, gpu_missing
from cxrscribe.sessions.device import CPU, Device, Memory, Provider, Role, import_onnxruntime, missing
from cxrscribe.sessions.interface_check import check_interface, check_outputs, line_of
from cxrscribe.sessions.matrix_form import graph_for_this_machine

_FATAL_ONLY: Final = 4
"""Severity of what onnxruntime logs to the terminal. Its errors are raised, and say the same."""
# Of outputs that are to go to an array of another size, in onnxruntime's words.
_WRONG_SHAPE: Final = ("Got invalid dimensions for output", "Shape mismatch attempting to re-use buffer")
_SMALLEST_WEIGHT: Final = 1024
"""Bytes from which on a tensor goes into the file of weights: smaller ones would only make it longer."""
_ENCODER_SPIN_MICROSECONDS: Final = 20
"""How long the encoder's threads wait for work in a loop before they sleep: about what waking one costs.

Its pieces of work are long, and meanwhile films are read on the same cores.
"""


@dataclass(frozen=True)
class SessionSettings:
    """Where a graph runs, and how."""

    device: Device
    threads: int
    """Of the CPU."""
    role: Role = Role.DECODER
    spinning: bool = True
    """Whether threads wait for work in a loop, which answers sooner and takes the processor."""

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The execution providers, the preferred one first."""
        return self.device.providers(self.role)

    @property
    def provider(self) -> Provider:
        """The preferred execution provider, which has to run some of the graph."""
        return self.providers[0]

    @property
    def on_cpu(self) -> bool:
        """Whether onnxruntime's own CPU kernels run all of the graph."""
        return self.providers == CPU.encoder


@dataclass(frozen=True)
class Placement:
    """What runs the nodes of one graph: which of onnxruntime's execution providers, or OpenVINO."""

    graph: str
    """Its name in the bundle: `encoder.onnx`, `int8/encoder.onnx`."""
    nodes: Mapping[str, int]
    """Number of nodes by provider, as onnxruntime calls it, most first.

    Of a graph from the cache, whose nodes have been fused, there are fewer than of the same graph without.
    Of OpenVINO, they are those of the graph as it compiled it, by the type in which it computes them:
    `OpenVINO u8`.
    """

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"graph": self.graph, "nodes": dict(self.nodes)}

    @classmethod
    def of(cls, graph: str, subgraphs: Iterable[Any]) -> Placement:
        """From what InferenceSession.get_provider_graph_assignment_info() gives."""
        counts: Counter[str] = Counter()
        for subgraph in subgraphs:
            counts[subgraph.ep_name] += len(subgraph.get_nodes())
        return cls(graph, dict(counts.most_common()))

    def __str__(self) -> str:
        """`encoder.onnx: 115 nodes on CPUExecutionProvider`."""
        parts = [f"{count} nodes on {provider}" for provider, count in self.nodes.items()]
        return f"{self.graph}: {', '.join(parts) or 'no nodes'}"


class GraphSession(Protocol):
    """A graph that is ready to run, on whatever engine; safe to use from several threads."""

    @property
    def device(self) -> Device:
        """The device that was asked for. What runs where, `placement` says."""

    @property
    def placement(self) -> Placement:
        """Where the nodes really run."""

    def expect(self, interface: GraphInterface) -> None:
        """Raise BundleError unless the graph has the interface's inputs and outputs, in any order."""

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order.

        Raises DeviceError when the engine fails, BundleError when an output isn't of the type and shape that
        the interface has for these inputs.
        """


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
        keep_from_forks(self)
        self.graph = graph
        self.device = settings.device
        """The device that was asked for. What runs where, `placement` says."""
        self.placement = Placement.of(name or graph.name, _assignment(self._session, graph))
        """Where the nodes really run."""
        self._attest(settings)
        self._interface: GraphInterface | None = None

    @property
    def native(self) -> Any:
        """The onnxruntime.InferenceSession, for what `run` doesn't offer. Not to be changed."""
        return self._session

    def expect(self, interface: GraphInterface) -> None:
        """Raise BundleError unless the graph has the interface's inputs and outputs, in any order.

        An axis that has a size here may be left open by the graph; one that has a name here must be. What a
        graph says of its outputs binds it to nothing: `run` looks at what they are.
        """
        inputs, outputs = map(_entries, (self._session.get_inputs(), self._session.get_outputs()))
        check_interface(self.graph, interface, inputs, outputs)
        self._interface = interface

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs, in this order.

        Raises DeviceError when onnxruntime fails, BundleError when an output isn't of the type and shape that
        the interface has for these inputs.
        """
        try:
            values: list[NDArray[np.float32]] = self._session.run(list(outputs), dict(inputs))
        except Exception as error:  # see `_open`
            raise self.failure(error) from error
        if self._interface is not None:
            check_outputs(self.graph, self._interface, inputs, dict(zip(outputs, values, strict=True)))
        return values

    def failure(self, error: Exception) -> DeviceError | BundleError:
        """What to raise when onnxruntime failed in this graph."""
        if any(said in str(error) for said in _WRONG_SHAPE):
            return BundleError(
                f"{self.graph} gave an output of another shape than its inputs ask for ({line_of(error)}); "
                "export the bundle again"
            )
        return DeviceError(
            f"device {self.device.name!r} failed in {self.graph} ({line_of(error)}); take smaller batches "
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


def native_sessions(opened: Sequence[GraphSession]) -> list[Session]:
    """The same sessions, all of which are onnxruntime's, as those of a decoder's graphs always are."""
    found = [session for session in opened if isinstance(session, Session)]
    assert len(found) == len(opened)
    return found


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
                f"{graph} can't be loaded by onnxruntime ({line_of(error)}); export the bundle again"
            ) from error
        _open(graph, replace(settings, device=CPU), None)  # raises where the graph is at fault
        raise _not_there(settings.device, line_of(error)) from error


def _assignment(session: Any, graph: Path) -> Iterable[Any]:
    """Which nodes run where."""
    try:
        found: Iterable[Any] = session.get_provider_graph_assignment_info()
    except Exception as error:  # the environment, or what it lets a model do, has changed the settings
        raise DeviceError(
            f"onnxruntime doesn't say where {graph} runs ({line_of(error)}); unset the variables of the "
            "environment that begin with ORT_"
        ) from error
    return found


def _not_there(device: Device, reason: str = "") -> DeviceError:
    return gpu_missing(device, reason) if device.memory is Memory.CUDA else missing(device, reason)


def _entries(nodes: Sequence[Any]) -> list[TensorEntry]:
    return [TensorEntry(node.name, _dtype(node.type), tuple(node.shape)) for node in nodes]


def _dtype(kind: str) -> str:
    """What numpy calls a tensor's elements that onnxruntime calls, say, `tensor(float)`."""
    element = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(element, element)


def open_native(graph: Path, settings: SessionSettings) -> Any:
    """An onnxruntime.InferenceSession of an ONNX file. Raises whatever onnxruntime does, and DeviceError."""
    return _create(_for_this_machine(graph, settings), settings, _options(settings))


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
    _create(_for_this_machine(graph, settings), settings, options)


def _options(settings: SessionSettings) -> Any:
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Each session has its own threads. Those of one that has nothing to do must not slow the others.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if settings.spinning else "0")
    if settings.role is Role.ENCODER:
        options.add_session_config_entry("session.intra_op.spin_duration_us", str(_ENCODER_SPIN_MICROSECONDS))
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options


def _for_this_machine(graph: Path, settings: SessionSettings) -> Path | bytes:
    return graph_for_this_machine(graph) if settings.on_cpu else graph


def _create(graph: Path | bytes, settings: SessionSettings, options: Any) -> Any:
    session = import_onnxruntime().InferenceSession
    # Without enable_fallback=0, onnxruntime moves to the CPU by itself when the provider fails, now or in a
    # later run, and prints that on stdout.
    providers = [(provider.name, dict(provider.options)) for provider in settings.providers]
    with cuda_ready() if settings.device.memory is Memory.CUDA else nullcontext():
        return session(graph, options, providers=providers, enable_fallback=0)
