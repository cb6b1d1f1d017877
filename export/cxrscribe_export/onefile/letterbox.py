"""A film of any size as the network's picture, inside the graph: what `Preprocessing.apply` does, to the bit."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe.films.preprocess import REDUCING_GAP
from cxrscribe_export.graphs.graph_builder import GraphBuilder
from cxrscribe_export.onefile.resampling import (
    Blocks,
    Taps,
    add_taps,
    block_sizes,
    branch,
    filtered,
    reduced,
)
from cxrscribe_export.onefile.variant import FILM

_STRIP: Final = 1 << 18
"""Pixels that are fitted at once: what they take, at 4 bytes and more each, stays in a processor's cache."""


def film_input() -> onnx.ValueInfoProto:
    """The graph input that `add_letterbox` reads: one film of any size."""
    return helper.make_tensor_value_info(FILM, TensorProto.UINT8, ["height", "width"])


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
    fitted = filtered(graph, lines, down.taps)  # [rows, columns]
    pads = []
    two = graph.constant(np.array([2]))
    for whole, part in ((target_height, rows), (target_width, columns)):
        before = graph.node("Div", graph.node("Sub", whole, part), two)
        pads.append((before, graph.node("Sub", graph.node("Sub", whole, part), before)))
    canvas = graph.node(
        "Pad", fitted, graph.node("Concat", *(pads[side][end] for end in (0, 1) for side in (0, 1)), axis=0)
    )
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
    most = graph.node("Max", graph.node("Mul", width, down.factor), across.taps.total)
    fitting = graph.node("Max", graph.node("Div", graph.constant(np.array([_STRIP])), most), one)
    strip = graph.node("Min", fitting, down.blocks)  # [1]: s, rows of blocks in a strip
    count = graph.node("Div", graph.node("Add", down.blocks, graph.node("Sub", strip, one)), strip)
    blocks = Blocks(down.factor, across.factor, down.blocks, across.blocks)
    padded = graph.node("Mul", count, strip)
    body = GraphBuilder("letterbox/")
    number, goes_on = "letterbox/number", "letterbox/goes_on"
    rows = body.node("Mul", strip, down.factor)
    top = body.node("Mul", number, rows)
    end = body.node("Add", top, rows)
    zero = body.constant(np.array([0]))
    piece = body.node("Slice", FILM, top, end, zero)
    there = body.node("Shape", piece)
    missing = body.node("Sub", body.node("Concat", rows, width, axis=0), there)
    piece = body.node("Pad", piece, body.node("Concat", body.constant(np.array([0, 0])), missing, axis=0))
    reduce, keep = GraphBuilder("letterbox/reduced/"), GraphBuilder("letterbox/kept/")
    shape = graph.node("Concat", strip, down.factor, width, axis=0)
    sizes = graph.node(
        "Reshape",
        block_sizes(graph, down.length, down.factor, padded),
        graph.node("Concat", count, strip, axis=0),
    )
    of_strip = reduce.node("Gather", sizes, number, axis=0)
    columns = block_sizes(graph, across.length, across.factor, across.blocks)
    means = reduced(reduce, piece, blocks, shape, of_strip, columns)
    axes: list[int | str] = ["strip", "across"]
    has_blocks = graph.node("Greater", graph.node("Mul", down.factor, across.factor), one)
    lines = body.node(
        "If",
        has_blocks,
        then_branch=branch(reduce, "reduced", means, TensorProto.UINT8, axes),
        else_branch=branch(keep, "kept", keep.node("Identity", piece), TensorProto.UINT8, axes),
    )
    fitted = filtered(body, body.node("Transpose", lines, perm=[1, 0]), across.taps)  # [columns, s]
    going = body.node("Identity", goes_on)
    loop = helper.make_graph(
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
    # [strips, columns, s]
    strips = graph.node("Loop", graph.node("Squeeze", count), graph.constant(np.array(True)), body=loop)
    upright = graph.node("Transpose", strips, perm=[0, 2, 1])
    whole = graph.node("Concat", padded, across.taps.size, axis=0)
    lines = graph.node("Reshape", upright, whole)
    start = graph.constant(np.array([0]))
    return graph.node("Slice", lines, start, down.blocks, start)
