"""OpenVINO by its own package: found, held to a precision, and graphs compiled by it for so many films."""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.files import FP32, TensorEntry
from cxrscribe.bundle.precision_pair import BF16
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.forks import ForkSafeLock, Owner, keep_from_forks
from cxrscribe.sessions.device import OPENVINO, missing
from cxrscribe.sessions.interface_check import line_of

_PROCESSOR: Final = "CPU"
_TOOLS: Final = "openvino.tools.ovc"
"""Part of the package that converts models and imports `openvino_telemetry`, which asks a server at once."""
_TYPES: Final = {FP32: "f32", BF16: "bf16"}
"""What OpenVINO calls the type that float32 is computed in, by ours."""
_LOWER: Final = frozenset(("f16", "bf16"))
"""Types that float32 must not be computed in unless they were asked for."""
_NOT_COMPUTED: Final = frozenset(("Const", "Input", "Output", "Reshape"))
_lock: Final = ForkSafeLock()


def import_openvino() -> ModuleType:
    """The openvino module, imported without its telemetry. Raises DeviceError where it doesn't work."""
    with _lock:
        return _import_openvino()


@cache
def openvino_version() -> str:
    """Of the package that is installed, which is not imported. Raises DeviceError where there is none."""
    try:
        return version(OPENVINO.name)
    except PackageNotFoundError:  # not installed as a package: it knows by itself
        return str(import_openvino().get_version())


def bf16_capable() -> bool:
    """Whether this processor has bfloat16, says OpenVINO. Raises DeviceError where that isn't there."""
    core = _core()
    try:
        return "BF16" in core.get_property(_PROCESSOR, "OPTIMIZATION_CAPABILITIES")
    except RuntimeError as error:
        raise missing(OPENVINO, line_of(error)) from error


def stayed_behind_a_fork() -> bool:
    """Whether this process was forked from one that used OpenVINO, and so can't use it itself."""
    return _started is not None and not _started.owner.is_here


@dataclass(frozen=True)
class Arithmetic:
    """How OpenVINO is to compute."""

    threads: int
    """Of the CPU."""
    precision: str = FP32
    """What float32 is computed in: `fp32` or `bf16`. What a graph has quantized stays int8 in both."""

    def check(self) -> None:
        """Raise DeviceError where this processor can't."""
        if self.precision == BF16 and not bf16_capable():
            raise DeviceError(
                "precision 'bf16' needs a processor with AVX512-BF16 or AMX-BF16, or another that OpenVINO "
                "computes in bfloat16 on, and this one isn't; take another precision"
            )

    @property
    def options(self) -> dict[str, object]:
        """OpenVINO's properties for a compiled model.

        Left to itself it would compute in bfloat16 or float16 where the processor can, and bind its threads
        to processors.
        """
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": _TYPES[self.precision],
            "ENABLE_CPU_PINNING": False,
        }


def compile_graph(graph: Path, films: int, arithmetic: Arithmetic) -> CompiledGraph:
    """Compile an ONNX file whose files have been checked, for batches of exactly so many films.

    Raises BundleError when OpenVINO refuses it, DeviceError when the processor can't compute like that.
    """
    arithmetic.check()
    core = _core()
    try:
        model = core.read_model(str(graph))
        shapes = {node.get_any_name(): node.get_partial_shape() for node in model.inputs}
        if not all(shape.rank.is_static and shape[0].is_dynamic for shape in shapes.values()):
            raise BundleError(f"{graph} is for batches of one size only; export the bundle again")
        model.reshape({name: [films, *list(shape)[1:]] for name, shape in shapes.items()})
        found = CompiledGraph(graph, core.compile_model(model, _PROCESSOR, arithmetic.options), films)
        _attest(found, arithmetic)
    except DeviceError:  # which is a RuntimeError, too
        raise
    except RuntimeError as error:
        raise BundleError(
            f"{graph} can't be compiled by OpenVINO ({line_of(error)}); take device='cpu' or export the "
            "bundle again"
        ) from error
    return found


def read_compiled(file: Path, graph: Path, films: int, arithmetic: Arithmetic) -> CompiledGraph:
    """What `CompiledGraph.write` wrote of `graph`, with this OpenVINO on this processor.

    That it has not been changed since is for the caller to check: OpenVINO believes what it reads. The file
    is mapped into memory. Raises BundleError when it isn't one.
    """
    arithmetic.check()
    openvino = import_openvino()
    try:
        # A private mapping: openvino takes nothing that can't be written to, and the file stays as it is.
        mapped = np.memmap(file, np.uint8, "c")
        tensor = openvino.Tensor(mapped, shared_memory=True)
        compiled = _core().import_model(tensor, _PROCESSOR, arithmetic.options)
        return CompiledGraph(graph, compiled, films, kept=(mapped, tensor))
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"{file} can't be read by OpenVINO ({line_of(error)})") from error


class CompiledGraph:
    """A graph that is ready to run on batches of one size; safe to use from several threads, in turn."""

    def __init__(self, graph: Path, compiled: Any, films: int, kept: object = None) -> None:
        """`graph`: the bundle's file, for errors; `kept`: what has to live as long as this does."""
        self.graph = graph
        self.films = films
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._kept = kept
        self._running = Lock()
        keep_from_forks(self)

    @property
    def inputs(self) -> list[TensorEntry]:
        """What goes in; sizes of all axes are known."""
        return list(map(_entry, self._compiled.inputs))

    @property
    def outputs(self) -> list[TensorEntry]:
        """What comes out."""
        return list(map(_entry, self._compiled.outputs))

    def run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Values of the named outputs. Raises DeviceError when OpenVINO fails."""
        with self._running:
            try:
                self._request.infer(dict(inputs), share_inputs=True)
                return [np.array(self._request.get_tensor(name).data) for name in outputs]
            except RuntimeError as error:
                raise DeviceError(
                    f"device {OPENVINO.name!r} failed in {self.graph} ({line_of(error)}); free memory if it "
                    "is full, else export the bundle again or take device='cpu'"
                ) from error

    @cached_property
    def operations(self) -> dict[str, int]:
        """How many operations are computed in each type, as OpenVINO calls it, most first.

        Of convolutions and products it is the type of what goes in: `u8` where they are quantized. Takes some
        time for a large graph, whose weights are looked at too.
        """
        found: Counter[str] = Counter()
        for operation in self._compiled.get_runtime_model().get_ordered_ops():
            said = operation.get_rt_info()
            if said["layerType"].value not in _NOT_COMPUTED:
                found[said["runtimePrecision"].value] += 1
        return dict(found.most_common())

    def write(self, to: Path) -> None:
        """Write it to a file, weights and all. Raises OSError."""
        try:
            written = io.BytesIO()
            self._compiled.export_model(written)
            to.write_bytes(written.getbuffer())
        except RuntimeError as error:
            raise OSError(f"{to}: {line_of(error)}") from error


def _attest(graph: CompiledGraph, arithmetic: Arithmetic) -> None:
    """Raise DeviceError unless it is computed as was asked for."""
    asked = _TYPES[arithmetic.precision]
    wrong = (_LOWER & graph.operations.keys()) - {asked}
    if wrong or (asked in _LOWER and asked not in graph.operations):
        computed = ", ".join(f"{count} operations in {kind}" for kind, count in graph.operations.items())
        raise DeviceError(
            f"OpenVINO was asked to compute {graph.graph} in {asked} and has {computed}; take device='cpu', "
            "or another precision"
        )


class _Started:
    """OpenVINO as this process has it: what holds its plugin, and the weights that compiled graphs share."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.core = _import_openvino().Core()
        keep_from_forks(self)


_started: _Started | None = None


def _core() -> Any:
    """The one openvino.Core of this process."""
    global _started  # noqa: PLW0603 (it is the process' own)
    with _lock:
        if _started is None:
            try:
                _started = _Started()
            except DeviceError:  # which is a RuntimeError, and says it already
                raise
            except RuntimeError as error:
                raise missing(OPENVINO, line_of(error)) from error
        if not _started.owner.is_here:
            raise DeviceError(
                "OpenVINO was used before this process was forked, and its threads aren't here; load the "
                "bundle after the fork only, start processes by 'spawn', or take device='cpu'"
            )
        return _started.core


def _import_openvino() -> ModuleType:
    hidden = _TOOLS not in sys.modules
    if hidden:
        sys.modules[_TOOLS] = None  # type: ignore[assignment]  # what `import` takes as absent
    try:
        import openvino
    except Exception as error:  # of another numpy or processor, it raises whatever its parts do
        raise missing(OPENVINO, line_of(error)) from error
    finally:
        if hidden:
            del sys.modules[_TOOLS]
    module: ModuleType = openvino
    if not hasattr(module, "Core"):  # a folder that an uninstallation left behind
        raise missing(OPENVINO, "it has no Core")
    if vars(module).keys().isdisjoint(("convert_model", "__getattr__")):
        module.__getattr__ = _tool  # type: ignore[method-assign]
    return module


def _tool(name: str) -> object:
    """What was left out, for a program that converts models too: `openvino.convert_model`."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    from openvino.tools.ovc import convert_model

    return convert_model


def _entry(node: Any) -> TensorEntry:
    shape = tuple(axis.get_length() for axis in node.get_partial_shape())
    return TensorEntry(node.get_any_name(), node.element_type.to_dtype().name, shape)
