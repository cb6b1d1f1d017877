"""The decoder's initial state and fused step with int8 products."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe_export.precision.activation_range import observe
from cxrscribe_export.precision.quantizer import HIDDEN, Quantization, Quantizer


def quantize_initial_state(initial_state: onnx.ModelProto, features: NDArray[np.float32]) -> onnx.ModelProto:
    """`int8/decoder_init.onnx` from `decoder_init.onnx`.

    Args:
        initial_state: the float32 graph.
        features: float32 [M, F] of training films, at least one, on which ranges are measured; for a model
            with a context [M, F + P].
    """
    sources = [product.source for product in _products(initial_state).values()]
    ranges = observe(initial_state, list(dict.fromkeys(sources)), [_inputs(initial_state, features)])
    quantizations = {name: Quantization.covering(values) for name, values in ranges.items()}
    return _quantize(initial_state, lambda source: quantizations[source])


def _inputs(initial_state: onnx.ModelProto, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The values of the graph's inputs, in order, from what searches start from."""
    widths = [value.type.tensor_type.shape.dim[1].dim_value for value in initial_state.graph.input]
    return tuple(map(np.ascontiguousarray, np.split(rows, np.cumsum(widths)[:-1], axis=1)))


def quantize_beam_step(beam_step: onnx.ModelProto) -> onnx.ModelProto:
    """`int8/beam_step.onnx` from `beam_step.onnx`.

    Every product in it has an h on its left: its scale is known without calibration. The table of the
    first layer's gates is int8 with a scale a row. Sums, gates, log-softmax, scores and TopK stay float32.
    """
    return _quantize(beam_step, lambda source: HIDDEN)


@dataclass(frozen=True)
class _Product:
    """A product of an activation [R, K] and a weight [K, C], and the bias [C] that is added next, if any.

    A Gemm adds an activation [R, C], the context, in place of a bias.
    """

    source: str
    weight: str
    bias: str | None
    context: str | None
    output: str
    nodes: tuple[int, ...]
    """Places of the nodes that it stands for; it is written at the last one."""


def _quantize(model: onnx.ModelProto, quantization_of: Callable[[str], Quantization]) -> onnx.ModelProto:
    products = _products(model)
    replaced = {place for product in products.values() for place in product.nodes}
    producers = {name: node for node in model.graph.node for name in node.output}
    quantizer = Quantizer(model)
    for place, node in enumerate(model.graph.node):
        if place in products:
            product = products[place]
            quantization = quantization_of(product.source)
            producer = producers.get(product.source)
            if producer is not None and producer.op_type == "Concat":
                left = quantizer.joined_activation(producer, quantization)
            else:
                left = quantizer.activation(product.source, quantization)
            right = quantizer.weight(product.weight, product.weight, 1, product.bias, quantization)
            # Gemm and not MatMul and Add: onnxruntime makes a float32 Gemm of those before it looks for int8.
            if product.context is None:
                quantizer.add("Gemm", [left, *right], product.output)
            else:
                bare = quantizer.add("Gemm", [left, *right], f"{product.output}.product")
                quantizer.add("Add", [bare, product.context], product.output)
        elif place in replaced:
            continue
        elif node.op_type == "Gather" and _is_table(quantizer, node.input[0]):
            quantizer.table(node.input[0], node.input[1], node.output[0])
        else:
            quantizer.keep(node)
    return quantizer.finished()


def _products(model: onnx.ModelProto) -> dict[int, _Product]:
    """The products with weights, each by the place of its last node."""
    nodes = list(model.graph.node)
    constants = {tensor.name for tensor in model.graph.initializer}
    found = {}
    for place, node in enumerate(nodes):
        if node.op_type not in ("MatMul", "Gemm") or node.input[1] not in constants:
            continue
        if node.op_type == "Gemm":
            source, weight, context = node.input
            found[place] = _Product(source, weight, None, context, node.output[0], (place,))
            continue
        after = _only_reader(nodes, node.output[0])
        last, bias = place, None
        if after is not None and nodes[after].op_type == "Add" and constants.intersection(nodes[after].input):
            last, bias = after, next(name for name in nodes[after].input if name in constants)
        found[last] = _Product(node.input[0], node.input[1], bias, None, nodes[last].output[0], (place, last))
    return found


def _only_reader(nodes: Iterable[onnx.NodeProto], name: str) -> int | None:
    readers = [place for place, node in enumerate(nodes) if name in node.input]
    return readers[0] if len(readers) == 1 else None


def _is_table(quantizer: Quantizer, name: str) -> bool:
    table = quantizer.constant(name)
    return table is not None and table.ndim == 2 and table.dtype == np.float32
