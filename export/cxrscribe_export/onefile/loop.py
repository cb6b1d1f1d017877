"""The rules of the search (docs/decoding.md) as an ONNX Loop: one iteration is one step of all images.

All K results are given, so that n_best is K in rules 7 and 9.

N images, K hypotheses each, R = N * K rows, T the most steps, M = 2K candidates an image. An image whose
search is over has no live hypothesis any more: its rows are still computed, but nothing can come of them. The
loop ends with the last image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_export.graphs.graph_builder import GraphBuilder
from cxrscribe_export.onefile.inlining import inline
from cxrscribe_export.onefile.limits import Limits
from cxrscribe_export.onefile.repeats import Repeats

_NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class Decoder:
    """What the search expands hypotheses with."""

    step: onnx.ModelProto
    """The fused step."""
    vocabulary_size: int
    """V."""
    state_size: int
    """2 * L * D."""
    banned: Sequence[int]
    """Words that are never produced, beside the special tokens."""
    no_repeat_ngram: int
    """n: no run of n words occurs twice in a report; 0 allows all."""


@dataclass(frozen=True)
class Searched:
    """Names of what the loop leaves after S steps."""

    pool_score: str
    """double [N, K]: scores of the finished hypotheses, best first, then -inf."""
    pool_origin: str
    """int64 [N, K]: how many words each of them has, times K, plus its place among the live ones then."""
    live_score: str
    """float32 [R, 1]: log_prob of those that no step was left for; -inf elsewhere."""
    words: str
    """int64 [S, N, K]: the word that each place got in each step."""
    parents: str
    """int64 [S, N, K]: the place, before the step, of the hypothesis that the word was added to."""
    by_image: str
    """int64 [2]: the shape [N, K]."""


@dataclass(frozen=True)
class _Carried:
    """One value that goes from step to step."""

    name: str
    element_type: int
    axes: tuple[int | str, ...]
    first: str
    """Its value before the first step; a name outside the loop."""


@dataclass(frozen=True)
class _Batch:
    """Names of what all steps read. Outside the loop."""

    limits: Limits
    repeats: Repeats | None
    width: str
    """int64 [1]: K."""
    worst: str
    """int64 [1]: K - 1."""
    rows: str
    """int64 [R]: their numbers."""
    image_of_row: str
    """int64 [R]"""
    first_row: str
    """int64 [N, 1]: number of each image's first row."""
    by_image: str
    """int64 [2]: the shape [N, K]."""
    top: str
    """bool [M]: the first K candidates."""


def add_search(graph: GraphBuilder, decoder: Decoder, limits: Limits, state: str) -> Searched:
    """Add the loop. `state` is the state after each image, float32 [N, 2 * L * D]."""
    batch = _batch(graph, decoder, limits, state)
    carried = _first_values(graph, decoder, batch, state)
    left = graph.nodes_of(
        "Loop",
        limits.max_length,
        graph.constant(np.array(True)),
        *(value.first for value in carried),
        names=len(carried) + 2,
        body=_Step(decoder, batch, carried).body(),
    )
    last = dict(zip((value.name for value in carried), left, strict=False))
    return Searched(
        last["pool_score"], last["pool_origin"], last["score"], left[-2], left[-1], batch.by_image
    )


def _batch(graph: GraphBuilder, decoder: Decoder, limits: Limits, state: str) -> _Batch:
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    vector = graph.constant(np.array([1]))
    images = graph.node("Gather", graph.node("Shape", state), zero, axis=0)  # N
    k = limits.beam_width
    width = graph.node("Reshape", k, vector)
    rows = graph.node("Range", zero, graph.node("Mul", images, k), one)
    first_row = graph.node("Mul", graph.node("Range", zero, images, one), k)  # [N]
    candidate = graph.node("Range", zero, graph.node("Add", k, k), one)  # [M]
    ngram = decoder.no_repeat_ngram
    return _Batch(
        limits,
        Repeats.add(graph, ngram, limits.max_length, graph.node("Shape", rows)) if ngram else None,
        width,
        graph.node("Sub", width, vector),
        rows,
        graph.node("Div", rows, k),
        graph.node("Unsqueeze", first_row, vector),
        graph.node("Concat", graph.node("Reshape", images, vector), width, axis=0),
        graph.node("Less", candidate, k),
    )


def _first_values(graph: GraphBuilder, decoder: Decoder, batch: _Batch, state: str) -> list[_Carried]:
    """What the first step starts from: one hypothesis without words an image."""
    zero, column = graph.constant(np.array(0)), graph.constant(np.array([1]))
    never = graph.constant(_NEVER)
    # No search begins where the network gave NaN. A quantized step might not say so later.
    total = graph.node("ReduceSum", state, column, keepdims=1)
    alive = graph.node("Not", graph.node("IsNaN", total))  # [N, 1]
    place = graph.node("Unsqueeze", graph.node("Mod", batch.rows, batch.limits.beam_width), column)
    root = graph.node(
        "And",
        graph.node("Gather", alive, batch.image_of_row, axis=0),
        graph.node("Equal", place, zero),
    )
    start = graph.node("Expand", graph.constant(np.array(START)), graph.node("Shape", batch.rows))
    score = graph.node("Where", root, graph.constant(np.float32(0)), never)
    states = graph.node("Gather", state, batch.image_of_row, axis=0)
    no_score = graph.node("Expand", graph.node("Cast", never, to=TensorProto.DOUBLE), batch.by_image)
    no_origin = graph.node("Expand", zero, batch.by_image)
    values = [
        _Carried("token", TensorProto.INT64, ("R",), start),
        _Carried("parent", TensorProto.INT64, ("R",), batch.rows),
        _Carried("score", TensorProto.FLOAT, ("R", 1), score),
        _Carried("state", TensorProto.FLOAT, ("R", decoder.state_size), states),
        _Carried("pool_score", TensorProto.DOUBLE, ("N", "K"), no_score),
        _Carried("pool_origin", TensorProto.INT64, ("N", "K"), no_origin),
    ]
    if batch.repeats is not None:
        values += [
            _Carried("history", TensorProto.INT64, ("R", "history"), batch.repeats.first_history),
            _Carried("run", TensorProto.INT64, ("R", "run"), batch.repeats.first_run),
        ]
    return values


class _Step:
    """Builds the loop's body.

    Its constants are its own: onnxruntime multiplies faster by a weight that isn't outside (4 % of a report).
    """

    def __init__(self, decoder: Decoder, batch: _Batch, carried: Sequence[_Carried]) -> None:
        self._body = GraphBuilder("search/")
        self._decoder = decoder
        self._batch = batch
        self._carried = carried
        self._number = "search/number"
        """int64 scalar: 0 in the first step."""
        self._before = {value.name: f"search/{value.name}" for value in carried}
        """Names of the carried values when the step begins."""
        self._never = self._body.constant(_NEVER)

    def body(self) -> onnx.GraphProto:
        body, before, batch = self._body, self._before, self._batch
        bias, after = self._bias()
        found = inline(
            body,
            self._decoder.step,
            "search/step/",
            {
                **{name: before[name] for name in ("token", "parent", "score", "state")},
                "bias": bias,
                "beam_width": batch.limits.beam_width,
            },
        )
        after["state"] = found["state_out"]
        score = found["candidate_score"]  # [N, M], best first
        size = body.constant(np.array(self._decoder.vocabulary_size))
        parent = body.node("Div", found["candidate_index"], size)  # [N, M]: place of the parent
        word = body.node("Mod", found["candidate_index"], size)
        ends = body.node("Equal", word, body.constant(np.array(END)))
        # NaN, which an image has in all its candidates or in none, is not greater either.
        there = body.node("Where", body.node("Greater", score, self._never), score, self._never)

        finishes = body.node("Where", body.node("And", ends, batch.top), there, self._never)
        after["pool_score"], after["pool_origin"] = self._pool(finishes, parent, score)
        # The best K that go on. TopK puts equal ones in the order in which they stand, which is theirs.
        live_score, place = body.nodes_of(
            "TopK", body.node("Where", ends, self._never, there), batch.width, names=2, axis=1
        )
        alive = self._can_still_win(live_score, after["pool_score"])
        live_score = body.node("Where", alive, live_score, self._never)
        parents = body.node("GatherElements", parent, place, axis=1)  # [N, K]
        # What doesn't exist gets <start>: a word that is never produced might make NaN of a healthy state.
        words = body.node(
            "Where",
            body.node("Greater", live_score, self._never),
            body.node("GatherElements", word, place, axis=1),
            body.constant(np.array(START)),
        )
        flat = body.constant(np.array([-1]))
        after["token"] = body.node("Reshape", words, flat)
        after["parent"] = body.node("Reshape", body.node("Add", parents, batch.first_row), flat)
        after["score"] = body.node("Reshape", live_score, body.constant(np.array([-1, 1])))
        return self._finished(after, alive, words, parents)

    def _bias(self) -> tuple[str, dict[str, str]]:
        """The bias (rule 3), float32 [1 or R, V], and what it carries on to the next step."""
        body, before = self._body, self._before
        forbidden = np.zeros((1, self._decoder.vocabulary_size), np.float32)
        forbidden[0, [PAD, START, UNK, *self._decoder.banned]] = _NEVER
        no_end = forbidden.copy()
        no_end[0, END] = _NEVER
        too_short = body.node("Less", self._number, self._batch.limits.min_length)
        bias = body.node("Where", too_short, body.constant(no_end), body.constant(forbidden))
        if self._batch.repeats is None:
            return bias, {}
        bias, history, run = self._batch.repeats.forbid(
            body, bias, *(before[name] for name in ("token", "parent", "history", "run"))
        )
        return bias, {"history": history, "run": run}

    def _pool(self, finishes: str, parent: str, score: str) -> tuple[str, str]:
        """Score and origin, [N, K] each, of the K best finished, these candidates among them: rule 7."""
        body, limits = self._body, self._batch.limits
        # An image that turns out NaN loses what it had. Its search isn't over: its rows would get <start>.
        first = body.node("Gather", score, body.constant(np.array([0])), axis=1)  # [N, 1]
        broken = body.node("IsNaN", first)
        nothing = body.node("Cast", self._never, to=TensorProto.DOUBLE)
        pool = body.node("Where", broken, nothing, self._before["pool_score"])

        divisor = body.node("Gather", limits.divisors, self._number, axis=0)
        new = body.node("Div", body.node("Cast", finishes, to=TensorProto.DOUBLE), divisor)
        best, place = body.nodes_of(
            "TopK", body.node("Concat", pool, new, axis=1), self._batch.width, names=2, axis=1
        )
        origin = body.node("Add", parent, body.node("Mul", self._number, limits.beam_width))
        origins = body.node("Concat", self._before["pool_origin"], origin, axis=1)
        return best, body.node("GatherElements", origins, place, axis=1)

    def _can_still_win(self, live_score: str, pool_score: str) -> str:
        """bool [N, 1]: whose best live one can beat the worst of a pool: rules 8, 9. -inf beats none."""
        body, batch = self._body, self._batch
        best = body.node("Gather", live_score, body.constant(np.array([0])), axis=1)  # [N, 1]
        divisor = body.node("Gather", batch.limits.favourable, self._number, axis=0)
        reachable = body.node("Div", body.node("Cast", best, to=TensorProto.DOUBLE), divisor)
        return body.node("Greater", reachable, body.node("Gather", pool_score, batch.worst, axis=1))

    def _finished(self, after: dict[str, str], alive: str, words: str, parents: str) -> onnx.GraphProto:
        body = self._body
        count = body.node("ReduceSum", body.node("Cast", alive, to=TensorProto.INT64), keepdims=0)
        goes_on = body.node("Greater", count, body.constant(np.array(0)))
        made = {"goes_on": goes_on, "words": words, "parents": parents}
        scalars = [(self._number, TensorProto.INT64), ("search/went_on", TensorProto.BOOL)]
        return helper.make_graph(
            body.nodes,
            "search",
            [
                *(helper.make_tensor_value_info(name, kind, []) for name, kind in scalars),
                *(_info(value, self._before[value.name]) for value in self._carried),
            ],
            [
                helper.make_tensor_value_info(made["goes_on"], TensorProto.BOOL, []),
                *(_info(value, after[value.name]) for value in self._carried),
                *(
                    helper.make_tensor_value_info(made[name], TensorProto.INT64, ["N", "K"])
                    for name in ("words", "parents")
                ),
            ],
            body.constants,
        )


def _info(value: _Carried, name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, value.element_type, list(value.axes))
