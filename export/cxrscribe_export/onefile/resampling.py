"""`cxrscribe.films.resample` as nodes of a graph: the same bits, in standard operators.

Wherever a sum has an order, it is of whole numbers that its type holds, so that the order doesn't matter. The
one that isn't, of the triangle's heights, goes by CumSum, which adds one after the other.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe.films.resample import RECIPROCAL_BITS, WEIGHT_BITS
from cxrscribe_export.graphs.graph_builder import GraphBuilder


class Taps(NamedTuple):
    """Names of what each of n pixels is made of: T pixels of the source at most."""

    places: str
    """int64 [T, n]: rows of the source, the last one again where there is none."""
    weights: str
    """int32 [T, n, 1], in fixed point; 0 where a pixel has fewer."""
    size: str
    """int64 [1]: n."""
    total: str
    """int64 [1]: T * n."""


def add_taps(graph: GraphBuilder, source: str, length: str, size: str) -> Taps:
    """How `size` int64 [1] pixels are made of the `length` double [1] first of `source` int64 [1] pixels."""
    zero, one, half = (graph.double([value]) for value in (0.0, 1.0, 0.5))
    single = graph.node("Cast", length, to=TensorProto.FLOAT)
    scale = graph.node("Div", _double(graph, single), _double(graph, size))
    reach = graph.node("Max", scale, one)
    centers = graph.node("Mul", graph.node("Add", _double(graph, counted(graph, size)), half), scale)  # [n]
    begin = graph.node("Add", graph.node("Sub", centers, reach), half)
    first = _whole(graph, graph.node("Max", begin, zero))
    end = _whole(graph, graph.node("Add", graph.node("Add", centers, reach), half))
    last = graph.node("Min", end, source)
    most = graph.node("ReduceMax", graph.node("Sub", last, first), keepdims=1)  # [1]: T
    column = graph.constant(np.array([1]))
    places = graph.node("Add", graph.node("Unsqueeze", counted(graph, most), column), first)  # [T, n]
    away = graph.node("Add", graph.node("Sub", _double(graph, places), centers), half)
    distance = graph.node("Abs", graph.node("Mul", away, graph.node("Div", one, reach)))
    height = graph.node("Max", graph.node("Sub", one, distance), zero)
    height = graph.node("Where", graph.node("Less", places, last), height, zero)
    sums = graph.node("CumSum", height, graph.constant(np.array(0)))
    total = graph.node("Gather", sums, graph.constant(np.array(-1)), axis=0)  # [n]
    share = graph.node("Mul", graph.node("Div", height, total), graph.double([float(1 << WEIGHT_BITS)]))
    weights = graph.node("Cast", graph.node("Add", half, share), to=TensorProto.INT32)
    return Taps(
        graph.node("Min", places, graph.node("Sub", source, column)),
        graph.node("Unsqueeze", weights, graph.constant(np.array([2]))),
        size,
        graph.node("Mul", most, size),
    )


def filtered(graph: GraphBuilder, picture: str, taps: Taps) -> str:
    """The columns of a picture uint8 [h, w], each made into n pixels: uint8 [n, w]."""
    rows = graph.node("Gather", picture, taps.places, axis=0)  # [T, n, w]
    products = graph.node("Mul", graph.node("Cast", rows, to=TensorProto.INT32), taps.weights)
    sums = graph.node("ReduceSum", products, graph.constant(np.array([0])), keepdims=0)
    return _shifted(graph, graph.node("Add", sums, _half(graph)))


def filtered_thriftily(graph: GraphBuilder, picture: str, taps: Taps) -> str:
    """The same tap by tap, for a large picture: what it takes is a T-th."""
    body = GraphBuilder("letterbox/taps/")
    tap, goes_on, before = (f"letterbox/taps/{name}" for name in ("tap", "goes_on", "before"))
    rows = body.node("Gather", picture, body.node("Gather", taps.places, tap, axis=0), axis=0)  # [n, w]
    weights = body.node("Gather", taps.weights, tap, axis=0)  # [n, 1]
    product = body.node("Mul", body.node("Cast", rows, to=TensorProto.INT32), weights)
    after = body.node("Add", before, product)

    def info(name: str, kind: int, axes: list[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, axes)

    sums: list[int | str] = ["fitted", "width"]
    loop = helper.make_graph(
        body.nodes,
        "taps",
        [
            info(tap, TensorProto.INT64, []),
            info(goes_on, TensorProto.BOOL, []),
            info(before, TensorProto.INT32, sums),
        ],
        [
            info(body.node("Identity", goes_on), TensorProto.BOOL, []),
            info(after, TensorProto.INT32, sums),
        ],
        body.constants,
    )
    zero, one, two = (graph.constant(np.array([place])) for place in (0, 1, 2))
    count = graph.node("Slice", graph.node("Shape", taps.places), zero, one)
    width = graph.node("Slice", graph.node("Shape", picture), one, two)
    start = graph.node("Expand", _half(graph), graph.node("Concat", taps.size, width, axis=0))
    always = graph.constant(np.array(True))
    return _shifted(graph, graph.node("Loop", graph.node("Squeeze", count), always, start, body=loop))


def _half(graph: GraphBuilder) -> str:
    return graph.constant(np.array(1 << (WEIGHT_BITS - 1), np.int32))


def _shifted(graph: GraphBuilder, sums: str) -> str:
    """Sums in fixed point as uint8."""
    # No weight is negative, and those of a pixel exceed 1 by less than a half of 255: nothing to be clipped.
    unsigned = graph.node("Cast", sums, to=TensorProto.UINT32)
    bits = graph.constant(np.array(WEIGHT_BITS, np.uint32))
    return graph.node("Cast", graph.node("BitShift", unsigned, bits, direction="RIGHT"), to=TensorProto.UINT8)


class Blocks(NamedTuple):
    """Names of the blocks whose pixels are averaged, int64 [1] each."""

    height: str
    """Of a block, in pixels."""
    width: str
    across: str
    """How many stand beside each other."""


def block_sizes(graph: GraphBuilder, length: str, size: str, count: str) -> str:
    """double [count]: how many of the `length` pixels of a side are in each block of `size`, at least 1."""
    left = graph.node("Sub", length, graph.node("Mul", counted(graph, count), size))
    return _double(graph, graph.node("Max", graph.node("Min", left, size), graph.constant(np.array([1]))))


def reduced(graph: GraphBuilder, strip: str, blocks: Blocks, rows: str, columns: str) -> str:
    """A strip of s rows of blocks, black where the last lack pixels, as averages: uint8 [s, blocks.across].

    `rows` double [s] and `columns` double [blocks.across]: how many of them each block has.
    """
    minus = graph.constant(np.array([-1]))
    whole = graph.node("Mul", blocks.across, blocks.width)
    cut = graph.node(
        "Reshape",
        graph.node("Cast", strip, to=TensorProto.FLOAT),
        graph.node("Concat", minus, blocks.height, whole, axis=0),
    )
    # Exact in float32: a block has far fewer than 65,793 rows.
    sums = graph.node("ReduceSum", cut, graph.constant(np.array([1])), keepdims=0)
    beside = graph.node("Concat", minus, blocks.across, blocks.width, axis=0)
    sums = _double(graph, graph.node("Reshape", sums, beside))
    sums = graph.node("ReduceSum", sums, graph.constant(np.array([2])), keepdims=0)  # [s, across]
    counts = graph.node("Mul", graph.node("Unsqueeze", rows, graph.constant(np.array([1]))), columns)
    half = graph.node("Floor", graph.node("Mul", counts, graph.double(0.5)))
    single = graph.node("Cast", counts, to=TensorProto.FLOAT)
    bits = graph.constant(np.float32(1 << RECIPROCAL_BITS))
    reciprocal = graph.node("Floor", _double(graph, graph.node("Div", bits, single)))
    means = graph.node("Mul", graph.node("Add", sums, half), reciprocal)
    shift = graph.double(1.0 / (1 << RECIPROCAL_BITS))
    return graph.node("Cast", graph.node("Floor", graph.node("Mul", means, shift)), to=TensorProto.UINT8)


def counted(graph: GraphBuilder, count: str) -> str:
    """int64 [count]: 0, 1, ... below `count` int64 [1]."""
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    return graph.node("Range", zero, graph.node("Squeeze", count), one)


def _double(graph: GraphBuilder, name: str) -> str:
    return graph.node("Cast", name, to=TensorProto.DOUBLE)


def _whole(graph: GraphBuilder, name: str) -> str:
    """int64 of doubles, cut towards 0."""
    return graph.node("Cast", name, to=TensorProto.INT64)
