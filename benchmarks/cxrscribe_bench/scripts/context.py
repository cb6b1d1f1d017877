"""What a context costs the fused step: the same decoder with the gates in its state's rows and without.

    python -m cxrscribe_bench.scripts.context

Prints the time of a step with context over that of the step without, the median over pairs of runs that take
turns in one process, into memory that is there already. 160 rows, E = 256, D = 512, L = 2, V = 1000, random
weights, fp32 and int8.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from statistics import median
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.bundle.contract import beam_step_interface
from cxrscribe_export.graphs.decoder_weights import DecoderWeights, LayerWeights
from cxrscribe_export.graphs.fusion import add_beam_step
from cxrscribe_export.graphs.graph_builder import GraphBuilder
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.decoder_int8 import quantize_beam_step
from cxrscribe_export.precision.speed import seconds_in_turn, step_inputs

GOAL: Final = 1.04
IMAGES: Final = 32
PLACES: Final = 5
EMBEDDING, HIDDEN, LAYERS, WORDS = 256, 512, 2, 1000
ROUNDS: Final = 100


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object: each precision's ratio, and the goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of timing, for each precision")
    seconds = parser.parse_args(arguments).seconds
    without, within = (fused_step(has_context=has_context) for has_context in (False, True))
    ratios = {
        "fp32": ratio(without, within, seconds),
        "int8": ratio(quantize_beam_step(without), quantize_beam_step(within), seconds),
    }
    print(json.dumps({"step_with_context_over_without": ratios, "goal": GOAL}))


def ratio(without: onnx.ModelProto, within: onnx.ModelProto, seconds: float) -> float:
    """The median over pairs: how many times as long a step with context takes."""
    runs = []
    for model, context in ((without, None), (within, ContextSizes(48, 128))):
        runs.append(GraphRunner(model).bound(*step_inputs(_architecture(context), IMAGES, PLACES)))
    pairs = zip(*seconds_in_turn(runs, ROUNDS, at_least=seconds), strict=True)
    return float(round(median(after / before for before, after in pairs), 4))


def fused_step(*, has_context: bool) -> onnx.ModelProto:
    """beam_step of a decoder of random weights; the same ones for the same seed."""
    random = np.random.default_rng(0)

    def weights(*shape: int) -> NDArray[np.float32]:
        drawn: NDArray[np.float64] = random.normal(size=shape) / np.sqrt(shape[0])
        return drawn.astype(np.float32)

    layers = tuple(
        LayerWeights(weights(size, 4 * HIDDEN), weights(HIDDEN, 4 * HIDDEN), weights(4 * HIDDEN))
        for size in (EMBEDDING, *[HIDDEN] * (LAYERS - 1))
    )
    decoder = DecoderWeights(
        weights(WORDS, EMBEDDING), layers, weights(HIDDEN, WORDS), weights(WORDS), has_context
    )
    graph = GraphBuilder()
    add_beam_step(graph, decoder)
    return graph.model(beam_step_interface(LAYERS, HIDDEN, WORDS, decoder.gates_size))


def _architecture(context: ContextSizes | None) -> Architecture:
    return Architecture("random", {}, 2048, EMBEDDING, HIDDEN, LAYERS, WORDS, context=context)


if __name__ == "__main__":
    main()
