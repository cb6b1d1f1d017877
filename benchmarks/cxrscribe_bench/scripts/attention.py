"""What attention over an encoder's feature maps would cost the fused step, beside the gates of a context.

    python -m cxrscribe_bench.scripts.attention

Additive attention at every step, as in Xu et al., Show, Attend and Tell, ICML 2015 (arXiv:1502.03044): the
first layer's h asks each position of the film's map, and what it is told goes into the same gates as the
context. Timed against the step that a bundle with a context has, in turn in one process, with random weights.

A film's map is too large for the rows of the state, so that there are several ways to bring it to a row:

- shared: the map of an image, an input of the step, serves all rows of this image. Every image needs
  equally many rows in each step.
- gathered: the same input, and each row names its image.
- repeated: the caller holds a map for each row.
- in the state: a row's map is gathered by its parent and handed on, as h, c and gates are.

Products that are the same at every step are computed before the first one and not timed: the keys of all
positions, and the projection of ResNet-101's 2048 channels to D.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any, Final

import click
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cxrscribe.bundle.architecture import Architecture, ContextSizes
from cxrscribe.bundle.contract import beam_step_interface
from cxrscribe_bench.timing.rounds import interval, ratio, rounds
from cxrscribe_export.graphs.decoder_weights import DecoderWeights, LayerWeights
from cxrscribe_export.graphs.fusion import add_beam_step
from cxrscribe_export.graphs.graph_builder import GraphBuilder
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.speed import step_inputs

IMAGES: Final = 32
PLACES: Final = 5
"""Rows of each image: 160 in all."""
WITHOUT: Final = "without"
WAYS: Final = ("shared", "gathered", "repeated", "in the state")

_BYTES: Final = 4
Array = NDArray[Any]


@dataclass(frozen=True)
class Sizes:
    """A decoder, and the map that it looks at.

    positions, channels: a map as the step sees it, [positions, channels]; its keys are as large.
    """

    name: str
    embedding: int
    hidden: int
    layers: int
    words: int
    positions: int
    channels: int

    @property
    def row_bytes(self) -> int:
        """Of a row of the state with a context: h, c and gates."""
        return _BYTES * (2 * self.layers + 4) * self.hidden

    @property
    def map_bytes(self) -> int:
        """Of an image's map and its keys."""
        return _BYTES * 2 * self.positions * self.channels


DEMO: Final = Sizes("demo, 6 x 6 x 256", 64, 192, 1, 376, 36, 256)
LARGE: Final = Sizes("large, 6 x 6 x 256", 256, 512, 2, 1000, 36, 256)
RESNET: Final = Sizes("large, 7 x 7 x 2048 to 512", 256, 512, 2, 1000, 49, 512)


@dataclass(frozen=True)
class Cost:
    """What one way to bring the maps costs at one size."""

    sizes: str
    way: str
    step_ms: float
    """The median; that of the step without attention is without_ms."""
    without_ms: float
    ratio: float
    """Median over the rounds: how many times as long a step takes as without attention."""
    low: float
    high: float
    """95 % bootstrap interval of the ratio."""
    row_bytes: int
    """Of a row of the state, without attention."""
    with_map_bytes: int
    """Of such a row if the map and its keys rode in it."""


@click.command()
@click.option("--rounds", "count", type=click.IntRange(min=1), default=60, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(count: int, as_json: bool) -> None:
    """Time a step with attention, in every way and at every size, over the step without."""
    costs = [cost for sizes in (DEMO, LARGE, RESNET) for cost in measure(sizes, count)]
    if as_json:
        click.echo(json.dumps({"rows": IMAGES * PLACES, "costs": [asdict(cost) for cost in costs]}, indent=1))
        return
    click.echo(f"{'':27} {'':13} {'without':>8} {'with':>9} {'ratio':>7} {'95 %':>15} {'bytes a row':>18}")
    for cost in costs:
        click.echo(
            f"{cost.sizes:27} {cost.way:13} {cost.without_ms:5.2f} ms {cost.step_ms:6.2f} ms "
            f"{cost.ratio:7.3f} {cost.low:7.3f}-{cost.high:7.3f} "
            f"{cost.row_bytes:7,}->{cost.with_map_bytes:9,}"
        )


def measure(sizes: Sizes, count: int) -> list[Cost]:
    """Time all ways at these sizes, in `count` rounds."""
    things = runs(sizes)
    seconds = rounds(things, count)
    without = seconds[WITHOUT]
    costs = []
    for way in WAYS:
        low, high = interval([mine / theirs for mine, theirs in zip(seconds[way], without, strict=True)])
        costs.append(
            Cost(
                sizes.name,
                way,
                step_ms=1e3 * median(seconds[way]),
                without_ms=1e3 * median(without),
                ratio=ratio(seconds, way, WITHOUT),
                low=low,
                high=high,
                row_bytes=sizes.row_bytes,
                with_map_bytes=sizes.row_bytes + sizes.map_bytes,
            )
        )
    return costs


def runs(sizes: Sizes) -> Mapping[str, Callable[[], list[Array]]]:
    """A step without attention and one in each way, on the same random state and maps."""
    step = fused_step(sizes)
    context = ContextSizes(48, 128)
    network = (sizes.channels, sizes.embedding, sizes.hidden, sizes.layers, sizes.words)
    inputs = step_inputs(Architecture("random", {}, *network, context=context), IMAGES, PLACES)
    found: dict[str, Callable[[], list[Array]]] = {WITHOUT: partial(GraphRunner(step).run, *inputs)}
    for way in WAYS:
        found[way] = partial(GraphRunner(with_attention(step, sizes, way)).run, *inputs, *maps(sizes, way))
    return found


def maps(sizes: Sizes, way: str) -> Sequence[Array]:
    """Keys and values of 32 random maps as a way's graph takes them, behind the step's own inputs."""
    random = np.random.default_rng(1)
    shape = (2, IMAGES, sizes.positions, sizes.channels)
    keys, values = random.normal(size=shape).astype(np.float32)
    image = np.repeat(np.arange(IMAGES), PLACES)
    if way == "gathered":
        return keys, values, image
    if way == "shared":
        return keys, values
    return keys[image], values[image]


def fused_step(sizes: Sizes) -> onnx.ModelProto:
    """beam_step of a decoder with a context and random weights; the same ones for the same seed."""
    weights = _Weights(0)
    layers = tuple(
        LayerWeights(
            weights(size, 4 * sizes.hidden),
            weights(sizes.hidden, 4 * sizes.hidden),
            weights(4 * sizes.hidden),
        )
        for size in (sizes.embedding, *[sizes.hidden] * (sizes.layers - 1))
    )
    embedding, output = weights(sizes.words, sizes.embedding), weights(sizes.hidden, sizes.words)
    decoder = DecoderWeights(embedding, layers, output, weights(sizes.words), has_context=True)
    graph = GraphBuilder()
    add_beam_step(graph, decoder)
    return graph.model(beam_step_interface(sizes.layers, sizes.hidden, sizes.words, decoder.gates_size))


def with_attention(step: onnx.ModelProto, sizes: Sizes, way: str) -> onnx.ModelProto:
    """A copy of a beam_step with context that attends to maps, which become its last inputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(step)
    place, gates = next(
        (place, node) for place, node in enumerate(copy.graph.node) if node.op_type == "Gemm"
    )  # of the first layer: h [R, D], weight, what the context adds
    hidden, weight, _ = gates.input
    graph = GraphBuilder("attention_")
    told = _attended(graph, sizes, hidden, way)

    # One product for h and what the map tells.
    both = graph.node("Concat", hidden, told, axis=1)  # [R, D + channels]
    own = next(tensor for tensor in copy.graph.initializer if tensor.name == weight)
    further = _Weights(2)(sizes.channels, 4 * sizes.hidden)
    gates.input[0] = both
    gates.input[1] = graph.constant(np.concatenate((onnx.numpy_helper.to_array(own), further)))

    nodes = [*copy.graph.node[:place], *graph.nodes, *copy.graph.node[place:]]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.remove(own)
    copy.graph.initializer.extend(graph.constants)
    shape = ["Maps", sizes.positions, sizes.channels]
    copy.graph.input.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("keys", "values")
    )
    if way == "gathered":
        copy.graph.input.append(helper.make_tensor_value_info("image", TensorProto.INT64, ["R"]))
    if way == "in the state":
        copy.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["R", *shape[1:]])
            for name in ("keys_out", "values_out")
        )
    return copy


def _attended(graph: GraphBuilder, sizes: Sizes, hidden: str, way: str) -> str:
    """What h [R, D] is told of its map, [R, channels], times the gate that Xu et al. put before it."""
    weights = _Weights(3)
    query = graph.node("MatMul", hidden, graph.constant(weights(sizes.hidden, sizes.channels)))
    score = graph.constant(weights(sizes.channels, 1))
    keys, values = "keys", "values"
    if way == "gathered":
        keys, values = (graph.node("Gather", name, "image", axis=0) for name in (keys, values))
    if way == "in the state":
        keys, values = (
            graph.node("Gather", name, "parent", name=f"{name}_out", axis=0) for name in (keys, values)
        )
    # A map's rows: those of one image, or one row where each has a map of its own.
    rows = "beam_width" if way == "shared" else graph.constant(np.array(1))
    one = graph.constant(np.array([1]))
    by_map = graph.node(
        "Concat",
        graph.constant(np.array([-1])),
        graph.node("Reshape", rows, one),
        graph.constant(np.array([sizes.channels])),
        axis=0,
    )
    asked = graph.node("Unsqueeze", graph.node("Reshape", query, by_map), graph.constant(np.array([2])))
    of_map = graph.node("Unsqueeze", keys, one)  # [Maps, 1, positions, channels]
    met = graph.node("Tanh", graph.node("Add", of_map, asked))  # [Maps, rows, positions, channels]
    scores = graph.node("Squeeze", graph.node("MatMul", met, score), graph.constant(np.array([3])))
    told = graph.node("MatMul", graph.node("Softmax", scores, axis=2), values)  # [Maps, rows, channels]
    flat = graph.node("Reshape", told, graph.constant(np.array([-1, sizes.channels])))
    gate = graph.node("MatMul", hidden, graph.constant(weights(sizes.hidden, 1)))
    return graph.node("Mul", flat, graph.node("Sigmoid", gate))


class _Weights:
    """Random weights of a seed, scaled to keep the size of what they meet."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> NDArray[np.float32]:
        drawn: NDArray[np.float64] = self._random.normal(size=shape) / np.sqrt(shape[0])
        return drawn.astype(np.float32)


if __name__ == "__main__":
    main()
