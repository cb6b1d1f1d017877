"""A film of any size as the network's picture, in the graph: what `Preprocessing.apply` does, to the bit."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe.films.preprocess import REDUCING_GAP
from cxrscribe_export.graphs.graph_builder import GraphBuilder, finished_model
from cxrscribe_export.onefile.resampling import (
    Blocks,
    Taps,
    add_taps,
    block_sizes,
    filtered,
    filtered_thriftily,
    reduced,
)
from cxrscribe_export.onefile.variant import FILM

_STRIP: Final = 1 << 18
"""Pixels that are fitted at once: what they take, at 4 bytes and more each, stays in a processor's cache."""


def film_input() -> onnx.ValueInfoProto:
    """The graph input that `add_letterbox` reads: one film of any size."""
    return helper.make_tensor_value_info(FILM, TensorProto.UINT8, ["height", "width"])


def letterbox_model(height: int, width: int) -> onnx.ModelProto:
    """The letterbox alone: film uint8 [h, w] -> image uint8 [1, height, width]."""
    graph = GraphBuilder()
    image = add_letterbox(graph, height, width)
    output = helper.make_tensor_value_info(image, TensorProto.UINT8, [1, height, width])
    made = helper.make_graph(graph.nodes, "letterbox", [film_input()], [output], graph.constants)
    return finished_model(made)


def add_letterbox(graph: GraphBuilder, height: int, width: int) -> str:
    """Add what makes the input film uint8 [h, w] the picture uint8 [1, height, width]; gives its name.

    A film without pixels is refused when the graph runs.
    """
    # By its first column and row, for one that has none must not go on: it would be divided by 0.
    first = graph.constant(np.array(0))
    tall, wide = (graph.node("Shape", graph.node("Gather", FILM, first, axis=axis)) for axis in (1, 0))
    target_height, target_width = graph.constant(np.array([height])), graph.constant(np.array([width]))
    by_width = graph.node(
        "GreaterOrEqual",
        graph.node("Mul", wide, target_height),
        graph.node("Mul", tall, target_width),
    )
    rows = graph.node("Where", by_width, _in_proportion(graph, tall, wide, target_width), target_height)
    columns = graph.node("Where", by_width, target_width, _in_proportion(graph, wide, tall, target_height))
    down, across = _side(graph, tall, rows), _side(graph, wide, columns)
    lines = _add_lines(graph, down, across)
    fitted = filtered_thriftily(graph, lines, down.taps)  # [rows, columns]
    left = [
        graph.node("Sub", target, part) for target, part in ((target_height, rows), (target_width, columns))
    ]
    before = [graph.node("Div", each, graph.constant(np.array([2]))) for each in left]
    after = [graph.node("Sub", each, part) for each, part in zip(left, before, strict=True)]
    canvas = graph.node("Pad", fitted, graph.node("Concat", *before, *after, axis=0))
    # The first axis is counted, not named: a constant 1 would let onnxruntime leave out what depends on it.
    return graph.node("Reshape", canvas, graph.constant(np.array([-1, height, width])))


class _Side(NamedTuple):
    """Names of one side's numbers, int64 [1] each, and how it is filtered."""

    length: str
    """Of the film, in pixels."""
    factor: str
    """Pixels of a block."""
    blocks: str
    taps: Taps


def _in_proportion(graph: GraphBuilder, side: str, other: str, target: str) -> str:
    """The length of `side` where `other` becomes `target`: at least 1 pixel, halves round up."""
    two = graph.constant(np.array([2]))
    twice = graph.node("Mul", two, graph.node("Mul", side, target))
    rounded = graph.node("Div", graph.node("Add", twice, other), graph.node("Mul", two, other))
    return graph.node("Max", rounded, graph.constant(np.array([1])))


def _side(graph: GraphBuilder, length: str, size: str) -> _Side:
    one = graph.constant(np.array([1]))
    pixels, target = (graph.node("Cast", each, to=TensorProto.DOUBLE) for each in (length, size))
    times = graph.node("Div", graph.node("Div", pixels, target), graph.double([REDUCING_GAP]))
    factor = graph.node("Max", graph.node("Cast", times, to=TensorProto.INT64), one)
    blocks = graph.node("Div", graph.node("Add", length, graph.node("Sub", factor, one)), factor)
    whole = graph.node("Div", pixels, graph.node("Cast", factor, to=TensorProto.DOUBLE))
    return _Side(length, factor, blocks, add_taps(graph, blocks, whole, size))


def _add_lines(graph: GraphBuilder, down: _Side, across: _Side) -> str:
    """The film with its blocks averaged and its rows filtered: uint8 [down.blocks, fitted width].

    In strips, one after the other: a whole film at 4 bytes a pixel would take much memory.
    """
    one = graph.constant(np.array([1]))
    width = graph.node("Mul", across.blocks, across.factor)  # with what the last block lacks
    widest = graph.node("Max", graph.node("Mul", width, down.factor), across.taps.total)
    fitting = graph.node("Max", graph.node("Div", graph.constant(np.array([_STRIP])), widest), one)
    strip = graph.node("Min", fitting, down.blocks)  # [1]: s, rows of blocks in a strip
    count = graph.node("Div", graph.node("Add", down.blocks, graph.node("Sub", strip, one)), strip)
    padded = graph.node("Mul", count, strip)
    rows = block_sizes(graph, down.length, down.factor, padded)
    strips = _Strips(
        graph.node("Mul", strip, down.factor),
        width,
        graph.node("Greater", graph.node("Mul", down.factor, across.factor), one),
        Blocks(down.factor, across.factor, across.blocks),
        graph.node("Reshape", rows, graph.node("Concat", count, strip, axis=0)),
        block_sizes(graph, across.length, across.factor, across.blocks),
        across.taps,
    )
    always = graph.constant(np.array(True))
    fitted = graph.node("Loop", graph.node("Squeeze", count), always, body=strips.body())
    upright = graph.node("Transpose", fitted, perm=[0, 2, 1])  # [strips, s, columns]
    lines = graph.node("Reshape", upright, graph.node("Concat", padded, across.taps.size, axis=0))
    start = graph.constant(np.array([0]))
    return graph.node("Slice", lines, start, down.blocks, start)


class _Strips(NamedTuple):
    """Names of what the work on each strip of s rows of blocks reads. Outside the loop."""

    height: str
    """int64 [1]: pixels of a strip."""
    width: str
    """int64 [1]: of a strip, what its last blocks lack included."""
    has_blocks: str
    """bool [1]: whether pixels are averaged at all."""
    blocks: Blocks
    rows: str
    """double [strips, s]: how many rows each block of each strip has, without what it lacks."""
    columns: str
    """double [blocks.across]: how many columns."""
    taps: Taps
    """Of the rows."""

    def body(self) -> onnx.GraphProto:
        """The loop's: fitted rows of each strip, uint8 [fitted width, s]."""
        body = GraphBuilder("letterbox/")
        number, goes_on = "letterbox/number", "letterbox/goes_on"
        strip = self._strip(body, number)
        averaged, kept = GraphBuilder("letterbox/averaged/"), GraphBuilder("letterbox/kept/")
        rows = averaged.node("Gather", self.rows, number, axis=0)
        lines = body.node(
            "If",
            self.has_blocks,
            then_branch=_branch(averaged, reduced(averaged, strip, self.blocks, rows, self.columns)),
            else_branch=_branch(kept, kept.node("Identity", strip)),
        )  # [s, blocks.across]
        fitted = filtered(body, body.node("Transpose", lines, perm=[1, 0]), self.taps)
        going = body.node("Identity", goes_on)
        return helper.make_graph(
            body.nodes,
            "letterbox",
            [
                helper.make_tensor_value_info(number, TensorProto.INT64, []),
                helper.make_tensor_value_info(goes_on, TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info(going, TensorProto.BOOL, []),
                helper.make_tensor_value_info(fitted, TensorProto.UINT8, ["fitted", "strip"]),
            ],
            body.constants,
        )

    def _strip(self, body: GraphBuilder, number: str) -> str:
        """The pixels of one strip, with black ones where the film has no more."""
        zeros = body.constant(np.array([0, 0]))
        top = body.node("Mul", number, self.height)
        end = body.node("Add", top, self.height)
        there = body.node("Slice", FILM, top, end, body.constant(np.array([0])))
        whole = body.node("Concat", self.height, self.width, axis=0)
        lacking = body.node("Sub", whole, body.node("Shape", there))
        return body.node("Pad", there, body.node("Concat", zeros, lacking, axis=0))


def _branch(graph: GraphBuilder, output: str) -> onnx.GraphProto:
    """The nodes of `graph` as a branch of If, whose output is one strip."""
    value = helper.make_tensor_value_info(output, TensorProto.UINT8, ["strip", "across"])
    return helper.make_graph(graph.nodes, "strip", [], [value], graph.constants)
