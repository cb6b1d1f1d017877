"""PyTorch as a System, eager and compiled: the bundle's networks and the search, rewritten in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.errors import InputError, MissingExtraError
from cxrscribe.settings import BeamSettings
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import Workload

# Activations of more films don't stay in a processor's caches, and a batch that is padded costs less.
_ENCODED_AT_ONCE: Final = 8

Compile = Callable[[Any], Any]


class PyTorch:
    """The System of PyTorch: encoder and beam search as torch modules, on static batches.

    Compiled modules know two sizes, a single image and a whole batch (of films: `_ENCODED_AT_ONCE`); what is
    in between is padded with its last row. Eager ones take any size as it is.
    """

    def __init__(self, workload: Workload, compile_module: Compile | None) -> None:
        import torch

        from cxrscribe_bench.systems.torch_graph import torch_module
        from cxrscribe_bench.systems.torch_operations import RULES
        from cxrscribe_bench.systems.torch_search import BeamStep, TorchSearch
        from cxrscribe_export.graphs.decoder_weights import DecoderWeights

        torch.set_num_threads(workload.threads)
        torch.backends.cudnn.allow_tf32 = False  # float32 stays float32, as ours does
        device = self._device = workload.device
        bundle = Bundle.open(workload.bundle)
        graphs = {name: onnx.load(str(bundle.graph(name))) for name in (ENCODER, DECODER_INIT, DECODER_STEP)}
        encoder = torch_module(graphs[ENCODER], ENCODER, RULES).to(device)
        # Convolutions of oneDNN are faster on it; compiled ones are laid out by the compiler itself.
        self._memory_format = "contiguous" if compile_module else "channels_last"
        if compile_module is None:
            encoder = encoder.to(memory_format=torch.channels_last)
        initial_state = torch_module(graphs[DECODER_INIT], DECODER_INIT, RULES).to(device)
        weights = DecoderWeights.read(graphs[DECODER_STEP])
        step: Any = BeamStep(weights, workload.settings.beam_width).to(device)
        self._compiled = compile_module is not None
        if compile_module is not None:
            encoder, step = compile_module(encoder), compile_module(step.eval())
        self._encoder = encoder
        self._search = TorchSearch(
            initial_state, step, workload.settings.beam_width, workload.settings.max_length, device
        )
        self._batch_size = workload.batch_size
        self._films_at_once = min(_ENCODED_AT_ONCE, workload.batch_size)
        self._readers = ThreadPoolExecutor(workload.threads)
        self._read = bundle.manifest.preprocessing.read
        self._films = workload.film_files()
        self._features = workload.feature_rows()
        self._pictures = self._read_films(0, len(self._films))
        self._warm_up()

    def details(self) -> Mapping[str, str]:
        import torch

        return {
            "version": torch.__version__,
            "device": torch.cuda.get_device_name() if self._device == "cuda" else self._device,
            "threads": str(torch.get_num_threads()),
            "mkldnn": "yes" if torch.backends.mkldnn.is_available() else "no",
            "memory format": self._memory_format,
            "compiled": "encoder and step, frozen, static shapes" if self._compiled else "nothing",
            "films encoded at once": str(self._films_at_once),
        }

    def from_films(self, first: int, count: int) -> list[Words]:
        found: list[Words] = []
        for start, size in _batches(first, count, self._batch_size):
            found += self._decode(self._features_of(self._read_films(start, size)))
        return found

    def from_features(self, first: int, count: int) -> list[Words]:
        found: list[Words] = []
        for start, size in _batches(first, count, self._batch_size):
            found += self._decode(self._features[start : start + size])
        return found

    def encode(self, first: int, count: int) -> None:
        self.features(first, count)

    def features(self, first: int, count: int) -> NDArray[np.float32]:
        """What `encode` computes: float32 [count, F]."""
        return self._features_of(self._pictures[first : first + count])

    def _read_films(self, first: int, count: int) -> NDArray[np.uint8]:
        return np.stack(list(self._readers.map(self._read, self._films[first : first + count])))

    def _features_of(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        parts = []
        with torch.inference_mode():
            for start, size in _batches(0, len(pictures), self._films_at_once):
                batch = self._filled(pictures[start : start + size], self._films_at_once)
                features = self._encoder(torch.from_numpy(batch).to(self._device))
                parts.append(features.cpu().numpy()[:size])
        return np.concatenate(parts)

    def _decode(self, features: NDArray[np.float32]) -> list[Words]:
        return self._search.decode(self._filled(features, self._batch_size))[: len(features)]

    def _filled(self, rows: NDArray[Any], size: int) -> NDArray[Any]:
        """Rows for a compiled module, which knows a single one and `size` of them."""
        if not self._compiled or len(rows) in (1, size):
            return rows
        return np.concatenate((rows, np.repeat(rows[-1:], size - len(rows), axis=0)))

    def _warm_up(self) -> None:
        """Run all shapes once, at which what is compiled is compiled."""
        for size in (1, self._films_at_once):
            self._features_of(np.resize(self._pictures, (size, *self._pictures.shape[1:])))
        for size in (1, self._batch_size):
            self._decode(np.resize(self._features, (size, self._features.shape[1])))


def open_pytorch_eager(workload: Workload, precision: str) -> PyTorch:
    """PyTorch as it is, operator by operator. Raises InputError for what it can't do, MissingExtraError."""
    _check(workload, precision)
    return PyTorch(workload, None)


def open_pytorch_compiled(workload: Workload, precision: str) -> PyTorch:
    """PyTorch through torch.compile, which needs a C++ compiler. Raises as `open_pytorch_eager`."""
    _check(workload, precision)
    return PyTorch(workload, _compiled)


def _compiled(module: Any) -> Any:
    import torch

    # Frozen, weights are constants that are laid out for oneDNN once, and activations join the convolutions.
    return torch.compile(module, dynamic=False, fullgraph=True, options={"freezing": True})


def _check(workload: Workload, precision: str) -> None:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("the PyTorch program", "bench-torch") from None
    if precision != FP32:
        raise InputError(f"the PyTorch program has no precision {precision!r}; ask for {FP32!r}")
    if workload.device not in ("cpu", "cuda"):
        raise InputError(f"the PyTorch program doesn't run on {workload.device!r}; ask for 'cpu' or 'cuda'")
    if workload.device == "cuda" and not torch.cuda.is_available():
        raise InputError("this PyTorch finds no GPU; install one with CUDA, or ask for 'cpu'")
    settings = workload.settings
    if replace(settings, n_best=1) != BeamSettings(settings.beam_width, settings.max_length):
        raise InputError(
            "the PyTorch program searches with a beam_width and a max_length only; "
            "leave the other settings at their defaults"
        )


def _batches(first: int, count: int, size: int) -> list[tuple[int, int]]:
    """Where each batch starts, and how many rows it has."""
    end = first + count
    return [(start, min(size, end - start)) for start in range(first, end, size)]
