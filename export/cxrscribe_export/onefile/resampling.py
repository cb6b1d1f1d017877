"""`cxrscribe.films.resample` as nodes of a graph: the same bits, in standard operators.

Wherever a sum has an order, it is of whole numbers that its type holds, so that the order doesn't matter. The
one that isn't, of the triangle's heights, goes by CumSum, which adds one after the other.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from cxrscribe_export.graphs.graph_builder import GraphBuilder

# Those of cxrscribe.films.resample.
_WEIGHT_BITS: Final = 22
_RECIPROCAL_BITS: Final = 24


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
    share = graph.node("Mul", graph.node("Div", height, total), graph.double([float(1 << _WEIGHT_BITS)]))
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
    rounded = graph.node("Add", sums, graph.constant(np.array(1 << (_WEIGHT_BITS - 1), np.int32)))
    # No weight is negative, and those of a pixel exceed 1 by less than a half of 255: nothing is to be clipped.
    unsigned = graph.node("Cast", rounded, to=TensorProto.UINT32)
    bits = graph.constant(np.array(_WEIGHT_BITS, np.uint32))
    return graph.node("Cast", graph.node("BitShift", unsigned, bits, direction="RIGHT"), to=TensorProto.UINT8)


class Blocks(NamedTuple):
    """Names of how a film is cut into blocks, whose pixels are averaged. Each int64 [1]."""

    rows: str
    """Of pixels in a block."""
    columns: str
    down: str
    """Blocks one below the other, the last of which may have fewer rows."""
    across: str


def block_sizes(graph: GraphBuilder, length: str, size: str, count: str) -> str:
    """double [count]: how many of the `length` pixels of a side are in each block of `size`, at least 1."""
    left = graph.node("Sub", length, graph.node("Mul", counted(graph, count), size))
    return _double(
        graph, graph.node("Max", graph.node("Min", left, size), graph.constant(np.array([1])))
    )


def reduced(graph: GraphBuilder, strip: str, blocks: Blocks, shape: str, rows: str, columns: str) -> str:
    """A strip of s times as many rows as a block has, padded with 0: uint8 [s, blocks.across].

    `shape`: int64 [3], s, blocks.rows and the width of the strip; `rows` double [s] and `columns` double
    [blocks.across]: how many of each block are no padding.
    """
    minus = graph.constant(np.array([-1]))
    cut = graph.node("Reshape", graph.node("Cast", strip, to=TensorProto.FLOAT), shape)
    # Exact in float32: a block has far fewer than 65,793 rows.
    sums = graph.node("ReduceSum", cut, graph.constant(np.array([1])), keepdims=0)
    beside = graph.node("Concat", minus, blocks.across, blocks.columns, axis=0)
    sums = _double(graph, graph.node("Reshape", sums, beside))
    sums = graph.node("ReduceSum", sums, graph.constant(np.array([2])), keepdims=0)  # [s, across]
    counts = graph.node("Mul", graph.node("Unsqueeze", rows, graph.constant(np.array([1]))), columns)
    half = graph.node("Floor", graph.node("Mul", counts, graph.double(0.5)))
    single = graph.node("Cast", counts, to=TensorProto.FLOAT)
    bits = graph.constant(np.float32(1 << _RECIPROCAL_BITS))
    reciprocal = graph.node("Floor", _double(graph, graph.node("Div", bits, single)))
    means = graph.node("Mul", graph.node("Add", sums, half), reciprocal)
    shift = graph.double(1.0 / (1 << _RECIPROCAL_BITS))
    return graph.node("Cast", graph.node("Floor", graph.node("Mul", means, shift)), to=TensorProto.UINT8)


def counted(graph: GraphBuilder, count: str) -> str:
    """int64 [count]: 0, 1, ... below `count` int64 [1]."""
    zero, one = graph.constant(np.array(0)), graph.constant(np.array(1))
    return graph.node("Range", zero, graph.node("Squeeze", count), one)


def branch(graph: GraphBuilder, name: str, output: str, kind: int, axes: list[int | str]) -> onnx.GraphProto:
    """The nodes of `graph` as a branch of If."""
    value = helper.make_tensor_value_info(output, kind, axes)
    return helper.make_graph(graph.nodes, name, [], [value], graph.constants)


def _double(graph: GraphBuilder, name: str) -> str:
    return graph.node("Cast", name, to=TensorProto.DOUBLE)


def _whole(graph: GraphBuilder, name: str) -> str:
    """int64 of doubles, cut towards 0."""
    return graph.node("Cast", name, to=TensorProto.INT64)
