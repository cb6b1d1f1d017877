"""Weights stored as float16 in a graph that computes in float32."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cxrscribe.errors import BundleError
from cxrscribe_export.onefile.inlining import subgraphs

_LARGEST: Final = float(np.finfo(np.float16).max)
_LEAST: Final = float(np.finfo(np.float16).smallest_normal)
_FEW: Final = 1024
"""Weights of fewer numbers stay as they are: nothing is won by them."""


def store_half(graph: onnx.GraphProto) -> None:
    """Store the matrices and filters of `graph`, those of its loops too, as float16.

    Each is made float32 by one Cast outside of all loops, which ONNX Runtime works out when it loads the
    file. Vectors stay: they are few numbers, and among them are variances and scales of int8.

    Raises BundleError where a weight has values that float16 can't hold.
    """
    inputs = {value.name for value in graph.input}
    halves: list[onnx.TensorProto] = []
    casts: list[onnx.NodeProto] = []
    for owner in _with_inner(graph):
        kept = []
        for tensor in owner.initializer:
            if tensor.name in inputs or not _is_large(tensor):
                kept.append(tensor)
                continue
            half = f"{tensor.name}/half"
            halves.append(numpy_helper.from_array(_halved(tensor), half))
            casts.append(helper.make_node("Cast", [half], [tensor.name], to=TensorProto.FLOAT))
        del owner.initializer[:]
        owner.initializer.extend(kept)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(halves)


def _with_inner(graph: onnx.GraphProto) -> list[onnx.GraphProto]:
    return [graph, *(each for inner in subgraphs(graph.node) for each in _with_inner(inner))]


def _is_large(tensor: onnx.TensorProto) -> bool:
    return (
        tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1 and int(np.prod(tensor.dims)) >= _FEW
    )


def _halved(tensor: onnx.TensorProto) -> np.ndarray[tuple[int, ...], np.dtype[np.float16]]:
    values = numpy_helper.to_array(tensor)
    sizes = np.abs(values[np.isfinite(values)])
    largest = float(sizes.max(initial=0.0))
    if largest > _LARGEST:
        raise BundleError(
            f"the weight {tensor.name!r} has a value of {largest:.3g}, beyond {_LARGEST:.0f}, the largest of "
            "float16; leave weights 'fp16' out"
        )
    if 0.0 < largest < _LEAST:
        raise BundleError(
            f"the weight {tensor.name!r} has no value above {largest:.3g}, and under {_LEAST:.2g} float16 "
            "has few digits; leave weights 'fp16' out"
        )
    return values.astype(np.float16)
