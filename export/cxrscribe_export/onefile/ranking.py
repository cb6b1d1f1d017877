"""What follows the loop: ranking the results, and reading their words back."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe_export.graphs.graph_builder import GraphBuilder
from cxrscribe_export.onefile.limits import Limits
from cxrscribe_export.onefile.loop import Searched

TOKENS, LENGTHS, SCORES, FINISHED = ("tokens", "lengths", "scores", "finished")


def add_ranking(graph: GraphBuilder, limits: Limits, searched: Searched) -> None:
    """Add the file's outputs: the finished hypotheses of the pool, then those that were cut off (rule 10).

    tokens int64 [N, K, T], lengths int64 [N, K], scores double [N, K], finished bool [N, K].
    """
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    k = limits.beam_width
    width = graph.node("Reshape", k, graph.constant(np.array([1])))
    steps = graph.node("Gather", graph.node("Shape", searched.words), zero, axis=0)  # S

    # Whoever is alive has come through all T steps: elsewhere live_score is -inf.
    log_prob = graph.node("Cast", searched.live_score, to=TensorProto.DOUBLE)
    divisor = graph.node("Gather", limits.divisors, graph.node("Sub", steps, one), axis=0)
    unfinished = graph.node("Reshape", graph.node("Div", log_prob, divisor), searched.by_image)
    place = graph.node("Range", zero, k, one)  # [K]
    origin = graph.node("Add", graph.node("Mul", steps, k), place)
    score = graph.node("Concat", searched.pool_score, unfinished, axis=1)  # [N, 2K]
    origins = graph.node(
        "Concat", searched.pool_origin, graph.node("Expand", origin, searched.by_image), axis=1
    )

    # The first K that exist, in their order: rule 11.
    nothing = graph.node("Cast", graph.constant(np.float32(-np.inf)), to=TensorProto.DOUBLE)
    twice = graph.node("Add", k, k)
    order = graph.node("Range", twice, zero, graph.constant(np.array(-1)))  # [2K]: 2K .. 1
    rank = graph.node("Where", graph.node("Greater", score, nothing), order, zero)
    key, chosen = graph.nodes_of("TopK", rank, width, names=2, axis=1)  # [N, K]
    graph.node("GatherElements", score, chosen, name=SCORES, axis=1)
    # Ranks above K are the pool's.
    graph.node("Greater", key, k, name=FINISHED)

    origin = graph.node("GatherElements", origins, chosen, axis=1)
    exists = graph.node("Greater", key, zero)
    graph.node("Where", exists, graph.node("Div", origin, k), zero, name=LENGTHS)
    _add_tokens(graph, limits, searched, graph.node("Mod", origin, k), steps)


def _add_tokens(graph: GraphBuilder, limits: Limits, searched: Searched, place: str, steps: str) -> None:
    """Walk back from each result's last word to its first, all results at once.

    `place`: int64 [N, K], of each result among the live hypotheses when it had all its words.
    """
    zero, back = graph.constant(np.array(0)), graph.constant(np.array(-1))
    steps_back = graph.node("Range", graph.node("Add", steps, back), back, back)  # [S]: S - 1 .. 0
    # Turned by hand: not every runtime can scan from the end.
    last_first = [
        graph.node("Gather", each, steps_back, axis=0) for each in (searched.words, searched.parents)
    ]
    _, words = graph.nodes_of(
        "Scan", place, steps_back, *last_first, names=2, body=_step_back(), num_scan_inputs=3
    )
    words = graph.node("Gather", words, steps_back, axis=0)
    words = graph.node("Transpose", words, perm=[1, 2, 0])  # [N, K, S]
    missing = graph.node(
        "Reshape", graph.node("Sub", limits.max_length, steps), graph.constant(np.array([1]))
    )
    pads = graph.node("Concat", graph.constant(np.zeros(5, np.int64)), missing, axis=0)
    graph.node("Pad", words, pads, zero, name=TOKENS)


def _step_back() -> onnx.GraphProto:
    """From the place of each result after a step to its place before it, and the word that it got."""
    body = GraphBuilder("words/")
    place, step, words, parents = (f"words/{name}" for name in ("place", "step", "step_words", "parents"))
    within = body.node("Less", step, LENGTHS)
    word = body.node(
        "Where", within, body.node("GatherElements", words, place, axis=1), body.constant(np.array(0))
    )
    earlier = body.node("Where", within, body.node("GatherElements", parents, place, axis=1), place)

    def info(name: str, axes: list[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.INT64, axes)

    table: list[int | str] = ["N", "K"]
    return helper.make_graph(
        body.nodes,
        "words",
        [info(place, table), info(step, []), info(words, table), info(parents, table)],
        [info(earlier, table), info(word, table)],
        body.constants,
    )
