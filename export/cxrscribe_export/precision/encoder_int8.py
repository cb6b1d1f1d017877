"""The encoder with int8 convolutions, residual sums and pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from cxrscribe_export.graphs.graph_copy import constants_of, float_tensors
from cxrscribe_export.graphs.norm_folding import fold_batch_norms
from cxrscribe_export.graphs.stem_folding import fold_stem, known_inputs
from cxrscribe_export.precision.activation_range import observe
from cxrscribe_export.precision.quantizer import Quantization, Quantizer

_JOINING: Final = frozenset({"Add", "Concat", "MaxPool", "AveragePool"})
"""Operators beside the convolution that have int8 kernels, so that bytes stay bytes between convolutions."""
_ACTIVATIONS: Final = frozenset({"Relu", "Clip"})
"""What a convolution's kernel does on the way: a range that begins at 0 cuts below 0."""


def quantize_encoder(encoder: onnx.ModelProto, films: NDArray[np.uint8]) -> onnx.ModelProto:
    """`int8/encoder.onnx` from `encoder.onnx`.

    Weights are int8 with a scale for each output channel; activations are uint8 with one static scale each.
    The first convolution reads the film's bytes. The mean over each feature map, and whatever else has no
    int8 kernel, stays float32, as do the features.

    Args:
        encoder: the float32 graph.
        films: uint8 [M, H, W], at least one: training films, on which the activations' ranges are measured.
    """
    folded = fold_stem(fold_batch_norms(encoder))
    plan = _Plan.of(folded)
    constants, sources = constants_of(folded), _bytes_of(folded)
    one_by_one = ((films[place : place + 1],) for place in range(len(films)))
    measured = [name for name in plan.tensors if name not in sources]
    ranges = observe(folded, measured, one_by_one)
    quantizations = {name: Quantization.covering(values) for name, values in ranges.items()}
    quantizations |= {name: Quantization(1.0, zero) for name, (_, zero) in sources.items()}
    quantizer = Quantizer(folded)

    def read(name: str) -> str:
        if name not in quantizations:
            return name
        return quantizer.activation(name, quantizations[name], sources.get(name, ("", 0))[0])

    for place, node in enumerate(folded.graph.node):
        inputs = list(map(read, node.input))
        if place in plan.convolutions:
            source, weight, *bias = node.input
            stored = node.output[0]
            named = bias[0] if bias else None
            known = known_inputs(node, constants[weight].shape[1], quantizations[source].zero)
            inputs[1:] = quantizer.weight(weight, stored, 0, named, quantizations[source], known)
        quantizer.keep(node, inputs)
    return quantizer.finished()


def _bytes_of(model: onnx.ModelProto) -> dict[str, tuple[str, int]]:
    """Tensors that are bytes less a whole number, as float32: of what bytes, and which number."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = (*inferred.input, *inferred.value_info)
    codes = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.UINT8}
    constants, found = constants_of(model), {}
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in codes:
            found[node.output[0]] = (node.input[0], 0)
        elif node.op_type == "Sub" and node.input[0] in found and node.input[1] in constants:
            number = constants[node.input[1]]
            if number.ndim == 0 and number in range(256):
                found[node.output[0]] = (found[node.input[0]][0], int(number))
    return found


@dataclass(frozen=True)
class _Plan:
    """What becomes int8."""

    convolutions: frozenset[int]
    """Places of the convolutions among the nodes."""
    tensors: tuple[str, ...]
    """Activations: what goes into an int8 kernel, and what comes out of it."""

    @classmethod
    def of(cls, model: onnx.ModelProto) -> _Plan:
        graph = model.graph
        constants = {tensor.name for tensor in graph.initializer}
        floats = float_tensors(model) - constants
        outputs = {value.name for value in graph.output}
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        convolutions, tensors = [], []
        for place, node in enumerate(graph.node):
            if node.op_type == "Conv" and constants.issuperset(node.input[1:]):
                read = [node.input[0]]
                convolutions.append(place)
            elif node.op_type in _JOINING:
                read = list(node.input)
            else:
                continue
            written = _after_activation(node, readers)
            if not floats.issuperset((*read, written)):
                continue
            tensors += [name for name in (*read, written) if name not in outputs]
        return cls(frozenset(convolutions), tuple(dict.fromkeys(tensors)))


def _after_activation(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> str:
    """What the kernel of `node` gives: an activation that alone reads its output is part of it."""
    output: str = node.output[0]
    after = readers.get(output, [])
    if len(after) == 1 and after[0].op_type in _ACTIVATIONS:
        output = after[0].output[0]
    return output
