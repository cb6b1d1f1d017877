"""Batch norms folded into the convolutions before them, which quantization needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from cxrscribe_export.graphs.graph_copy import constants_of, rebuilt

Array = npt.NDArray[Any]

_EPSILON: Final = 1e-5
"""What ONNX takes where a BatchNormalization doesn't say."""


@dataclass(frozen=True)
class _Norm:
    """What a batch norm does to each channel: x -> factor * x + shift. Both float64 [C]."""

    factor: npt.NDArray[np.float64]
    shift: npt.NDArray[np.float64]


def fold_batch_norms(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of `model` in which a batch norm after a convolution is part of its weights and bias.

    Only where nothing else reads the convolution's output; other batch norms stay. Names of inputs and
    outputs stay, and the node that was folded gives its output's name to the convolution.
    """
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    nodes = list(folded.graph.node)
    constants = constants_of(model)
    outputs = {value.name for value in model.graph.output}
    read = Counter(name for node in nodes for name in node.input)
    producers = {name: node for node in nodes for name in node.output}
    kept = []
    for node in nodes:
        conv = producers.get(node.input[0]) if node.op_type == "BatchNormalization" else None
        if (
            conv is not None
            and conv.op_type == "Conv"
            and constants.keys() >= {*conv.input[1:], *node.input[1:]}
            and read[conv.output[0]] == 1
            and conv.output[0] not in outputs
        ):
            _fold(conv, node, constants)
        else:
            kept.append(node)
    return rebuilt(folded, kept, constants)


def _fold(conv: onnx.NodeProto, node: onnx.NodeProto, constants: dict[str, Array]) -> None:
    """Put `node` into `conv`, in place; its new weights and bias are added to `constants`."""
    norm = _norm(node, constants)
    weight = constants[conv.input[1]]  # [C, ...]
    bias = constants[conv.input[2]] if len(conv.input) > 2 else np.zeros(len(weight), weight.dtype)
    by_channel = norm.factor.reshape(-1, *[1] * (weight.ndim - 1))
    # Two convolutions may share a weight, each with a batch norm of its own: the folded ones get new names.
    names = [f"{conv.output[0]}.{part}" for part in ("weight", "bias")]
    constants[names[0]] = (weight * by_channel).astype(np.float32)
    constants[names[1]] = (bias * norm.factor + norm.shift).astype(np.float32)
    conv.input[:] = [conv.input[0], *names]
    conv.output[0] = node.output[0]


def _norm(node: onnx.NodeProto, constants: dict[str, Array]) -> _Norm:
    scale, bias, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    factor = scale / np.sqrt(variance + attributes.get("epsilon", _EPSILON))
    return _Norm(factor, bias - mean * factor)
