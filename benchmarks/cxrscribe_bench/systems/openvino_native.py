"""OpenVINO by its own package, on a bundle's canonical graphs.

When the system is opened, graphs of fixed shapes are tried against those of any shape; the faster are taken.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.errors import MissingExtraError
from cxrscribe.vocabulary import START
from cxrscribe_bench.systems.plain_search import PlainSearch
from cxrscribe_bench.systems.plain_system import FILMS_A_CALL, PlainSystem, require_peer
from cxrscribe_bench.systems.trial import least_seconds
from cxrscribe_bench.workload import Workload

Array = NDArray[np.float32]
Inputs = Mapping[str, NDArray[Any]]

AS_IT_COMES: Final = "as-it-comes"
"""Precision: OpenVINO chooses, which is bf16 on processors that have it."""

_DEVICE: Final = "CPU"
_WORTH: Final = 0.95
"""A graph of fixed shapes holds the weights once more: it has to take less than this share of the time."""


class OpenVino:
    """OpenVINO's CPU plugin, with what every graph is compiled with."""

    def __init__(self, threads: int, precision: str) -> None:
        """`precision` is fp32 or `as-it-comes`. Raises MissingExtraError where openvino isn't installed."""
        openvino = _import_openvino()
        self.version = str(openvino.__version__)
        self._core = openvino.Core()
        self._options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if precision == FP32:
            # By itself it computes in bf16 where the processor does.
            self._options["INFERENCE_PRECISION_HINT"] = "f32"

    def fastest(self, graph: Path, examples: Sequence[Inputs]) -> ShapedGraph:
        """`graph` compiled for any shape, and for the shapes of those `examples` for which that is faster."""
        free = self._compile(graph, None)
        fixed, reasons = {}, []
        for example in examples:
            compiled = self._compile(graph, example)
            seconds = least_seconds(
                {"fixed": partial(compiled.run, example), "free": partial(free.run, example)}
            )
            size, worth = _size(example), seconds["fixed"] < _WORTH * seconds["free"]
            if worth:
                fixed[size] = compiled
            times = ", ".join(f"{value * 1e3:.2f} ms {name}" for name, value in seconds.items())
            chosen = "fixed" if worth else "free"
            reasons.append(f"{size}: {chosen} shape ({times})")
        return ShapedGraph(free, fixed, "; ".join(reasons))

    def _compile(self, graph: Path, example: Inputs | None) -> CompiledGraph:
        model = self._core.read_model(str(graph))
        if example is not None:
            model.reshape({name: list(value.shape) for name, value in example.items()})
        return CompiledGraph(self._core.compile_model(model, _DEVICE, self._options))


def _import_openvino() -> ModuleType:
    """OpenVINO without its telemetry, which would ask a server at once. Raises MissingExtraError."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what `import` takes as absent
    try:
        import openvino
    except ImportError:
        raise MissingExtraError("the peer openvino", "bench") from None
    module: ModuleType = openvino
    return module


class CompiledGraph:
    """A graph that is ready to run."""

    def __init__(self, compiled: Any) -> None:
        self._request = compiled.create_infer_request()
        self._outputs = range(len(compiled.outputs))
        self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        """What it computes in, as OpenVINO calls it: `f32`, `bf16`."""

    def run(self, inputs: Inputs) -> list[Array]:
        """All outputs, in order: views that the next run overwrites."""
        # Neither what goes in nor what comes out is copied.
        self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        return [self._request.get_output_tensor(place).data for place in self._outputs]


class ShapedGraph:
    """A compiled graph for any shape, and others for some sizes of the batch axis alone."""

    def __init__(self, free: CompiledGraph, fixed: Mapping[int, CompiledGraph], reason: str) -> None:
        self._free = free
        self._fixed = fixed
        self.reason = reason
        """What was tried, and taken."""

    @property
    def precision(self) -> str:
        """What the graph is computed in, which is the same at all sizes."""
        return self._free.precision

    def run(self, inputs: Inputs) -> list[Array]:
        return self._fixed.get(_size(inputs), self._free).run(inputs)


class OpenVinoDecoder:
    """A StepNetwork over compiled graphs."""

    def __init__(self, initial_state: ShapedGraph, step: ShapedGraph) -> None:
        self._initial_state = initial_state
        self._step = step

    def initial_state(self, features: Array) -> tuple[Array, Array]:
        hidden, cell = self._initial_state.run({"features": features})
        return hidden, cell

    def step(self, token: NDArray[np.int64], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
        log_probs, hidden, cell = self._step.run({"token": token, "hidden": hidden, "cell": cell})
        return log_probs, hidden, cell


def open_openvino(workload: Workload, precision: str) -> PlainSystem:
    """OpenVINO on the CPU, `precision` fp32 or `as-it-comes`.

    Raises InputError at another precision or device, MissingExtraError where openvino isn't installed.
    """
    require_peer(workload, precision, (FP32, AS_IT_COMES))
    engine = OpenVino(workload.threads, precision)
    bundle, settings = Bundle.open(workload.bundle), workload.settings
    manifest = bundle.manifest
    height, width = manifest.preprocessing.height, manifest.preprocessing.width
    pictures = [{"image": np.zeros((films, height, width), np.uint8)} for films in FILMS_A_CALL]
    features = np.zeros((workload.batch_size, manifest.architecture.feature_size), np.float32)
    row_counts = sorted({settings.beam_width, settings.beam_width * workload.batch_size})
    layers, hidden_size = manifest.architecture.layers, manifest.architecture.hidden_size
    encoder = engine.fastest(bundle.graph(ENCODER), pictures)
    initial_state = engine.fastest(bundle.graph(DECODER_INIT), [{"features": features}])
    step = engine.fastest(
        bundle.graph(DECODER_STEP), [_step_inputs(layers, rows, hidden_size) for rows in row_counts]
    )
    network = OpenVinoDecoder(initial_state, step)
    return PlainSystem(
        workload,
        manifest,
        _encode_by(encoder),
        PlainSearch(network, settings.beam_width, settings.max_length, workload.batch_size),
        batch_size=workload.batch_size,
        readers=workload.threads,
        details={
            "version": engine.version,
            "threads": str(workload.threads),
            "precision of the encoder": encoder.precision,
            "precision of the decoder": step.precision,
            "encoder, by films": encoder.reason,
            "initial state, by images": initial_state.reason,
            "step, by rows": step.reason,
        },
    )


def _encode_by(encoder: ShapedGraph) -> Callable[[NDArray[np.uint8]], Array]:
    def encode(pictures: NDArray[np.uint8]) -> Array:
        return encoder.run({"image": pictures})[0].copy()

    return encode


def _step_inputs(layers: int, rows: int, hidden_size: int) -> Inputs:
    """Token, hidden and cell of so many hypothesis rows."""
    state = np.zeros((layers, rows, hidden_size), np.float32)
    return {"token": np.full(rows, START), "hidden": state, "cell": state}


def _size(inputs: Inputs) -> int:
    """The length of the free axis, which is the first input's first one."""
    return len(next(iter(inputs.values())))
