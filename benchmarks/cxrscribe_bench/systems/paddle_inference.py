"""Paddle Inference: the networks traced into static programs and run by Paddle's own predictors.

Whether oneDNN computes is tried when the system is opened, since neither is faster at everything.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.vocabulary import START
from cxrscribe_bench.systems.paddle_setup import set_up_paddle
from cxrscribe_bench.systems.plain_search import PlainSearch
from cxrscribe_bench.systems.plain_system import FILMS_A_CALL, PlainSystem, require_peer
from cxrscribe_bench.systems.trial import least_seconds
from cxrscribe_bench.workload import Workload

Array = NDArray[np.float32]

_GPU_MEGABYTES: Final = 1024
"""What Paddle reserves at first; it takes more when it needs more."""


@dataclass(frozen=True)
class Program:
    """A network that was traced into files."""

    stem: Path

    @classmethod
    def trace(
        cls, network: Any, inputs: tuple[tuple[str, str, list[int | None]], ...], stem: Path
    ) -> Program:
        """Write a paddle.nn.Layer's program; `inputs`: name, element type and shape, None for a free axis."""
        import paddle

        network.eval()
        specification = [paddle.static.InputSpec(shape, kind, name) for name, kind, shape in inputs]
        paddle.jit.save(network, str(stem), input_spec=specification)
        return cls(stem)

    def predictor(self, threads: int, *, onednn: bool = False, gpu: bool = False) -> Predictor:
        """Load it. Raises whatever Paddle does where oneDNN or the GPU can't run it."""
        from paddle import inference

        config = inference.Config(f"{self.stem}.json", f"{self.stem}.pdiparams")
        if gpu:
            config.enable_use_gpu(_GPU_MEGABYTES, 0)
        else:
            config.disable_gpu()
        config.disable_glog_info()
        config.set_cpu_math_library_num_threads(threads)
        if onednn:
            config.enable_mkldnn()
        else:
            config.disable_mkldnn()
        # Not enable_memory_optim: it fails on programs of the new IR, as jit.save writes them.
        return Predictor(inference.create_predictor(config))


class Predictor:
    """A program that is ready to run."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self._inputs = [native.get_input_handle(name) for name in native.get_input_names()]
        self._outputs = [native.get_output_handle(name) for name in native.get_output_names()]

    def run(self, *inputs: NDArray[Any]) -> list[Array]:
        """All outputs, in order, for `inputs`, in order."""
        for handle, value in zip(self._inputs, inputs, strict=True):
            handle.copy_from_cpu(np.ascontiguousarray(value))
        self._native.run()
        return [handle.copy_to_cpu() for handle in self._outputs]


@dataclass(frozen=True)
class Choice:
    """The faster of the predictors with and without oneDNN."""

    predictor: Predictor
    reason: str

    @classmethod
    def make(cls, program: Program, device: str, threads: int, *inputs: NDArray[Any]) -> Choice:
        """Try both on `inputs`. On `cuda` there is nothing to choose."""
        if device == "cuda":
            return cls(program.predictor(threads, gpu=True), "on the GPU")
        plain = program.predictor(threads, onednn=False)
        try:
            onednn = program.predictor(threads, onednn=True)
            onednn.run(*inputs)
        except Exception as error:  # Paddle's own errors have no common class below this one
            return cls(plain, f"without oneDNN, which can't run it: {_line(error)}")
        seconds = least_seconds({"with": lambda: onednn.run(*inputs), "without": lambda: plain.run(*inputs)})
        times = ", ".join(f"{value * 1e3:.2f} ms {name}" for name, value in seconds.items())
        if seconds["with"] < seconds["without"]:
            return cls(onednn, f"with oneDNN ({times})")
        return cls(plain, f"without oneDNN ({times})")


class InferenceDecoder:
    """A StepNetwork over predictors: one for as many rows as an image has, one for those of a batch."""

    def __init__(self, initial_state: Predictor, image: Predictor, batch: Predictor, image_rows: int) -> None:
        self._initial_state = initial_state
        self._image = image
        self._batch = batch
        self._image_rows = image_rows

    def initial_state(self, features: Array) -> tuple[Array, Array]:
        hidden, cell = self._initial_state.run(features)
        return hidden, cell

    def step(self, token: NDArray[np.int64], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
        predictor = self._image if len(token) <= self._image_rows else self._batch
        log_probs, hidden, cell = predictor.run(token, hidden, cell)
        return log_probs, hidden, cell


def open_paddle_inference(workload: Workload, precision: str) -> PlainSystem:
    """Paddle Inference on the CPU or a GPU, `precision` fp32.

    Raises InputError at another precision or device, MissingExtraError where Paddle isn't installed,
    BundleError where the bundle lacks weights.
    """
    require_peer(workload, precision, devices=("cpu", "cuda"))
    version = set_up_paddle("the peer paddle-inference", workload.threads)
    _require_gpu(workload.device)
    bundle, settings, threads = Bundle.open(workload.bundle), workload.settings, workload.threads
    architecture, preprocessing = bundle.manifest.architecture, bundle.manifest.preprocessing
    device = workload.device
    with tempfile.TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        encoding, initial_state, step = _programs(bundle, Path(folder))
        encoder = Choice.make(encoding, device, threads, _pictures(preprocessing))
        image = Choice.make(step, device, threads, *_rows(architecture, settings.beam_width))
        batch = Choice.make(
            step, device, threads, *_rows(architecture, settings.beam_width * workload.batch_size)
        )
        start = Choice.make(
            initial_state,
            device,
            threads,
            np.zeros((workload.batch_size, architecture.feature_size), np.float32),
        )
    network = InferenceDecoder(start.predictor, image.predictor, batch.predictor, settings.beam_width)
    return PlainSystem(
        workload,
        bundle.manifest,
        lambda pictures: encoder.predictor.run(pictures)[0],
        PlainSearch(network, settings.beam_width, settings.max_length, workload.batch_size),
        batch_size=workload.batch_size,
        readers=threads,
        details={
            "version": version,
            "device": device,
            "threads": str(threads),
            "encoder": encoder.reason,
            "initial state": start.reason,
            "step of one image": image.reason,
            "step of a batch": batch.reason,
        },
    )


def _require_gpu(device: str) -> None:
    """Raise InputError where `device` is a GPU and this Paddle can't use one."""
    import paddle

    if device == "cuda" and not (
        paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    ):
        raise InputError("this Paddle finds no GPU; install paddlepaddle-gpu, or ask for 'cpu'")


def _programs(bundle: Bundle, folder: Path) -> tuple[Program, Program, Program]:
    """Encoder, initial state and step."""
    from cxrscribe_bench.systems.paddle_weights import decoder_of, encoder_of
    from cxrscribe_export.graphs.networks import Encoding, InitialState, Step

    architecture, preprocessing = bundle.manifest.architecture, bundle.manifest.preprocessing
    state: list[int | None] = [architecture.layers, None, architecture.hidden_size]
    pictures: list[int | None] = [None, preprocessing.height, preprocessing.width]
    decoder = decoder_of(bundle)
    return (
        Program.trace(Encoding(encoder_of(bundle)), (("image", "uint8", pictures),), folder / "encoder"),
        Program.trace(
            InitialState(decoder),
            (("features", "float32", [None, architecture.feature_size]),),
            folder / "initial_state",
        ),
        Program.trace(
            Step(decoder),
            (("token", "int64", [None]), ("hidden", "float32", state), ("cell", "float32", state)),
            folder / "step",
        ),
    )


def _pictures(preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """As many as the encoder may get at a time: uint8 [N, H, W]."""
    return np.zeros((max(FILMS_A_CALL), preprocessing.height, preprocessing.width), np.uint8)


def _rows(architecture: Architecture, rows: int) -> tuple[NDArray[np.int64], Array, Array]:
    """Token, hidden and cell of so many hypothesis rows."""
    state = np.zeros((architecture.layers, rows, architecture.hidden_size), np.float32)
    return np.full(rows, START), state, state


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
