"""The fused graphs: beam_step (parent gather, cells, output, mask, TopK), and beam_init, which starts it.

Same weights as the canonical step, `decoder_step.onnx`; `interface.beam_step_interface` says what goes in and
comes out. Why it has this form, measured on two x86 cores at E = 256, D = 512, L = 2, V = 1000, 160 rows:

- The embedding and the first layer's input weights meet as one table [V, 4 * D] that is looked up: a product
  less. The other layers' input and h meet one concatenated weight: one product, not two and a sum.
- The state is seen as [S * 2L, D], so that one Gather brings each part of the parents' state as a tensor of
  its own; gathering whole rows and splitting them would copy everything twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx

from cxrscribe.bundle.contract import beam_init_interface, beam_step_interface
from cxrscribe_export.graphs.decoder_weights import DecoderWeights
from cxrscribe_export.graphs.graph_builder import GraphBuilder


def fuse(step: onnx.ModelProto) -> onnx.ModelProto:
    """`beam_step.onnx` from `decoder_step.onnx`.

    A row of `state` holds h of all layers, first layer first, and then c of all layers; behind them what a
    context adds to the first layer's gates, if there is one. An image for which the network gives NaN has NaN
    in all its candidate scores. Raises BundleError where `step` is not built as export builds it.
    """
    weights = DecoderWeights.read(step)
    graph = GraphBuilder()
    add_beam_step(graph, weights)
    sizes = (len(weights.layers), weights.hidden_size, weights.vocabulary_size, weights.gates_size)
    return graph.model(beam_step_interface(*sizes))


def fuse_initial_state(initial_state: onnx.ModelProto) -> onnx.ModelProto:
    """`beam_init.onnx` from `decoder_init.onnx`: the same numbers as rows of the fused step's state."""
    features, *others = (value.type.tensor_type.shape.dim[1].dim_value for value in initial_state.graph.input)
    patient = others[0] if others else 0
    layers, _, hidden_size = (
        axis.dim_value for axis in initial_state.graph.output[0].type.tensor_type.shape.dim
    )
    graph = GraphBuilder("row_")
    graph.nodes.extend(initial_state.graph.node)
    graph.constants.extend(initial_state.graph.initializer)
    row = graph.constant(np.array([-1, layers * hidden_size]))
    rows = [
        graph.node("Reshape", graph.node("Transpose", state, perm=[1, 0, 2]), row)
        for state in ("hidden", "cell")
    ]
    context = ["context"] if patient else []
    graph.node("Concat", *rows, *context, name="state", axis=1)
    return graph.model(beam_init_interface(features, layers, hidden_size, patient))


def add_beam_step(graph: GraphBuilder, weights: DecoderWeights) -> None:
    """Add the fused step's nodes, between the names of its inputs and outputs."""
    hidden, cell, context = _parents(graph, weights)
    new_hidden: list[str] = []
    new_cell: list[str] = []
    for place, (h, c) in enumerate(zip(hidden, cell, strict=True)):
        gates = (
            _first_gates(graph, weights, h, context)
            if place == 0
            else _gates(graph, weights, place, new_hidden[-1], h)
        )
        next_hidden, next_cell = _cell(graph, gates, c, weights.hidden_size)
        new_hidden.append(next_hidden)
        new_cell.append(next_cell)
    graph.node("Concat", *new_hidden, *new_cell, *context, name="state_out", axis=1)
    logits = graph.node(
        "Add",
        graph.node("MatMul", new_hidden[-1], graph.constant(weights.output, "output.weight")),
        graph.constant(weights.output_bias, "output.bias"),
    )
    _candidates(graph, graph.node("LogSoftmax", logits, axis=1), weights.vocabulary_size)


def _parents(graph: GraphBuilder, weights: DecoderWeights) -> tuple[list[str], list[str], list[str]]:
    """Of the rows that `parent` names: h and c of each layer, [R, D], and the context [R, 4 * D] if any."""
    layers, hidden_size = len(weights.layers), weights.hidden_size
    own = weights.gates_size // hidden_size  # parts of a row that are the context's
    parts = graph.node("Reshape", "state", graph.constant(np.array([-1, hidden_size])))  # [S * (2L + own), D]
    first = graph.node("Mul", "parent", graph.constant(np.array(2 * layers + own)))  # [R]
    gathered = [
        graph.node("Gather", parts, graph.node("Add", first, graph.constant(np.array(part))), axis=0)
        for part in range(2 * layers)
    ]
    if not own:
        return gathered[:layers], gathered[layers:], []
    # In as large parts as a row has: the context is one of them, or two where the number of layers is odd.
    size = math.gcd(2 * layers, own)
    large = graph.node("Reshape", "state", graph.constant(np.array([-1, size * hidden_size])))
    row = graph.node("Mul", "parent", graph.constant(np.array((2 * layers + own) // size)))  # [R]
    places = graph.constant(2 * layers // size + np.arange(own // size))
    column = graph.node("Unsqueeze", row, graph.constant(np.array([1])))  # [R, 1]
    context = graph.node("Gather", large, graph.node("Add", column, places), axis=0)  # [R, parts, size * D]
    whole = graph.constant(np.array([-1, weights.gates_size]))
    return gathered[:layers], gathered[layers:], [graph.node("Reshape", context, whole)]


def _first_gates(graph: GraphBuilder, weights: DecoderWeights, hidden: str, context: Sequence[str]) -> str:
    """Gates [R, 4 * D] of the layer that reads the token, and the context if there is one."""
    layer = weights.layers[0]
    # In float64, rounded once: the sums differ least from those of the step.
    table = weights.embedding.astype(np.float64) @ layer.input + layer.bias
    looked_up = graph.node("Gather", graph.constant(table, "lstm.0.table"), "token", axis=0)
    weight = graph.constant(layer.hidden, "lstm.0.weight")
    # Gemm adds up to what is there already: a context costs no pass of its own over the gates.
    product = graph.node("Gemm" if context else "MatMul", hidden, weight, *context)
    return graph.node("Add", product, looked_up)


def _gates(graph: GraphBuilder, weights: DecoderWeights, place: int, below: str, hidden: str) -> str:
    """Gates [R, 4 * D] of a layer that reads the h of the one below."""
    layer = weights.layers[place]
    weight = graph.constant(np.concatenate((layer.input, layer.hidden)), f"lstm.{place}.weight")  # [2D, 4D]
    product = graph.node("MatMul", graph.node("Concat", below, hidden, axis=1), weight)
    return graph.node("Add", product, graph.constant(layer.bias, f"lstm.{place}.bias"))


def _cell(graph: GraphBuilder, gates: str, cell: str, hidden_size: int) -> tuple[str, str]:
    """The next h and c [R, D] (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000)."""
    sizes = graph.constant(np.full(4, hidden_size))
    into, forget, candidate, out = graph.nodes_of("Split", gates, sizes, names=4, axis=1)
    kept = graph.node("Mul", graph.node("Sigmoid", forget), cell)
    new = graph.node("Mul", graph.node("Sigmoid", into), graph.node("Tanh", candidate))
    next_cell = graph.node("Add", kept, new)
    return graph.node("Mul", graph.node("Sigmoid", out), graph.node("Tanh", next_cell)), next_cell


def _candidates(graph: GraphBuilder, log_probs: str, vocabulary_size: int) -> None:
    """The best 2K candidates of each image's K rows, of log_probs [R, V]: docs/decoding.md, rule 5."""
    width = graph.node("Reshape", "beam_width", graph.constant(np.array([1])))
    continuations = graph.node("Mul", width, graph.constant(np.array([vocabulary_size])))  # K * V
    images = graph.constant(np.array([-1]))
    by_image = graph.node("Concat", images, continuations, axis=0)

    score = graph.node("Add", graph.node("Add", log_probs, "bias"), "score")  # [R, V]
    count = graph.node("Min", graph.node("Mul", width, graph.constant(np.array([2]))), continuations)
    best, _ = graph.nodes_of(
        "TopK",
        graph.node("Reshape", score, by_image),  # [B, K * V]
        count,
        names=["best_score", "candidate_index"],
        axis=1,
        sorted=1,
    )
    own = graph.node("Reshape", log_probs, by_image)
    graph.node("GatherElements", own, "candidate_index", name="candidate_log_prob", axis=1)

    # NaN in a row's h makes all its log-probabilities NaN, and NaN has no place in TopK's order: one word of
    # each row is looked at before, and times 0 it is 0 or NaN.
    one_word = graph.node("Gather", log_probs, graph.constant(np.array(0)), axis=1)  # [R]
    of_image = graph.node("Reshape", one_word, graph.node("Concat", images, width, axis=0))  # [B, K]
    total = graph.node("ReduceSum", of_image, graph.constant(np.array([1])), keepdims=1)  # [B, 1]
    nothing = graph.node("Mul", total, graph.constant(np.float32(0)))
    graph.node("Add", best, nothing, name="candidate_score")
