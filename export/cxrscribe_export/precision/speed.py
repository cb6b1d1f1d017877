"""How much faster one graph is than another, on this processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import BEAM_STEP, ENCODER
from cxrscribe.bundle.precision_cost import Speedups
from cxrscribe.sessions.device import processor_name, usable_threads
from cxrscribe.tuning.race import turns
from cxrscribe.vocabulary import START
from cxrscribe_export.graphs.runner import Array, GraphRunner

ENCODER_FILMS: Final = 8
"""Films in the batch that the encoder is timed on."""
ENCODER_ROUNDS: Final = 9
STEP_IMAGES: Final = 32
STEP_PLACES: Final = 5
"""Images and hypotheses of each that the step is timed on."""
STEP_ROUNDS: Final = 60
WARM_UP: Final = 2
LEAST_SECONDS: Final = 2.0
"""That a comparison takes: what else the machine does at times must not decide."""


def seconds_in_turn(
    runs: Sequence[Callable[[], object]], rounds: int, at_least: float = 0.0
) -> list[list[float]]:
    """Seconds of each round of each of `runs`, called in turn.

    At least `rounds` rounds, and as many as fill `at_least` seconds; those of the warm-up are not among them.
    """
    for _, place in turns(list(range(len(runs))), range(WARM_UP)):
        runs[place]()
    seconds: list[list[float]] = [[] for _ in runs]
    begun = perf_counter()
    wanted = takewhile(lambda made: made < rounds or perf_counter() - begun < at_least, count())
    for _, place in turns(list(range(len(runs))), wanted):
        started = perf_counter()
        runs[place]()
        seconds[place].append(perf_counter() - started)
    return seconds


def speedup(slower: onnx.ModelProto, faster: onnx.ModelProto, inputs: Sequence[Array], rounds: int) -> float:
    """How many times the seconds of `faster` the other takes for `inputs`: the median over the rounds.

    At least `rounds` of them, and as many as fill `LEAST_SECONDS`.
    """
    runs = [partial(GraphRunner(model).run, *inputs) for model in (slower, faster)]
    pairs = zip(*seconds_in_turn(runs, rounds, at_least=LEAST_SECONDS), strict=True)
    return median(before / after for before, after in pairs)


def speedups_of_graphs(
    bundle: Path, precision: str, architecture: Architecture, films: NDArray[np.uint8]
) -> Speedups:
    """How much faster encoder and step of one precision are than those of fp32, by onnxruntime on the CPU.

    Args:
        bundle: its folder, with the graphs of both.
        precision: the folder of the faster ones.
        architecture: of the model.
        films: uint8 [N, H, W], at least one.
    """

    def gain(graph: str, inputs: Sequence[Array], rounds: int) -> float:
        slower, faster = (onnx.load(str(path / graph)) for path in (bundle, bundle / precision))
        return speedup(slower, faster, inputs, rounds)

    batch = films.take(range(ENCODER_FILMS), axis=0, mode="wrap")
    inputs = step_inputs(architecture, STEP_IMAGES, STEP_PLACES)
    encoder, step = gain(ENCODER, [batch], ENCODER_ROUNDS), gain(BEAM_STEP, inputs, STEP_ROUNDS)
    return Speedups(encoder, step, processor_name(), usable_threads())


def step_inputs(architecture: Architecture, images: int, places: int, seed: int = 0) -> list[Array]:
    """Inputs of beam_step as in the middle of a search: R = images * places rows of random state."""
    random = np.random.default_rng(seed)
    rows, words = images * places, architecture.vocabulary_size
    width = architecture.state_size
    image = np.arange(images)[:, np.newaxis] * places
    return [
        random.integers(START, words, rows),
        (image + random.integers(0, places, (images, places))).reshape(-1),
        -random.random((rows, 1), np.float32),
        np.tanh(random.normal(size=(rows, width))).astype(np.float32),
        np.zeros((1, words), np.float32),
        np.array(places, np.int64),
    ]
