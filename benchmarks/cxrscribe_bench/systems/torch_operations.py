"""What each kind of ONNX node is in PyTorch, for inference on the CPU. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from onnx import TensorProto
from torch import fx, nn
from torch.nn import functional

from cxrscribe_bench.systems.torch_graph import BATCH, Array, Node, Rule, Translation


def _convolution(to: Translation, node: Node) -> fx.Node:
    weight = to.constant(node, 1)
    bias = to.constant(node, 2) if len(node.inputs) > 2 else None
    source, padding = _padded(to, node, 0.0)
    groups = node.attribute("group", 1)
    layer = nn.Conv2d(
        weight.shape[1] * groups,
        weight.shape[0],
        weight.shape[2:],
        stride=tuple(node.attribute("strides", (1, 1))),
        padding=padding,
        dilation=tuple(node.attribute("dilations", (1, 1))),
        groups=groups,
    )
    # Without a bias there is room for a batch norm's, and oneDNN adds it for nothing.
    _assign(layer, weight, np.zeros(len(weight), np.float32) if bias is None else bias)
    return to.submodule(layer, source)


def _assign(layer: Any, weight: Array, bias: Array) -> None:
    for name, array in (("weight", weight), ("bias", bias)):
        setattr(layer, name, nn.Parameter(torch.from_numpy(np.array(array, np.float32)), requires_grad=False))


def _batch_norm(to: Translation, node: Node) -> fx.Node:
    gain, shift, mean, variance = (to.constant(node, place).astype(np.float64) for place in range(1, 5))
    scale = gain / np.sqrt(variance + node.attribute("epsilon", 1e-5))
    shift = shift - mean * scale
    convolution = to.layer(node.inputs[0])
    source = to.tensor(node.inputs[0])
    if convolution is not None:
        weight, bias = convolution.weight.numpy(), convolution.bias.numpy()
        _assign(convolution, weight * scale[:, None, None, None], bias * scale + shift)
        return source
    scale, shift = (array.astype(np.float32)[:, None, None] for array in (scale, shift))
    return to.call(torch.add, to.call(torch.mul, source, to.buffer(scale)), to.buffer(shift))


def _padded(to: Translation, node: Node, value: float) -> tuple[fx.Node, tuple[int, int]]:
    """The source, padded where its two sides differ, and what is left for the layer to pad."""
    if node.attribute("auto_pad", b"NOTSET") != b"NOTSET":
        raise to.unknown(node, "with auto_pad")
    top, left, bottom, right = node.attribute("pads", (0, 0, 0, 0))
    source = to.tensor(node.inputs[0])
    if (top, left) == (bottom, right):
        return source, (top, left)
    return to.call(functional.pad, source, (left, right, top, bottom), value=value), (0, 0)


def _max_pool(to: Translation, node: Node) -> fx.Node:
    source, padding = _padded(to, node, -np.inf)
    return to.call(
        functional.max_pool2d,
        source,
        tuple(node.attribute("kernel_shape")),
        stride=tuple(node.attribute("strides", (1, 1))),
        padding=padding,
        dilation=tuple(node.attribute("dilations", (1, 1))),
        ceil_mode=bool(node.attribute("ceil_mode", 0)),
    )


def _average_pool(to: Translation, node: Node) -> fx.Node:
    source, padding = _padded(to, node, 0.0)
    counted = bool(node.attribute("count_include_pad", 0))
    if not counted and padding == (0, 0) and any(node.attribute("pads", ())):
        raise to.unknown(node, "with uneven pads that don't count")
    return to.call(
        functional.avg_pool2d,
        source,
        tuple(node.attribute("kernel_shape")),
        stride=tuple(node.attribute("strides", (1, 1))),
        padding=padding,
        ceil_mode=bool(node.attribute("ceil_mode", 0)),
        count_include_pad=counted,
    )


def _clip(to: Translation, node: Node) -> fx.Node:
    least, most = (float(to.constant(node, place, default)) for place, default in ((1, -np.inf), (2, np.inf)))
    return to.call(torch.clamp, to.tensor(node.inputs[0]), least, most)


def _hard_sigmoid(to: Translation, node: Node) -> fx.Node:
    scaled = to.call(torch.mul, to.tensor(node.inputs[0]), node.attribute("alpha", 0.2))
    return to.call(torch.clamp, to.call(torch.add, scaled, node.attribute("beta", 0.5)), 0.0, 1.0)


def _gemm(to: Translation, node: Node) -> fx.Node:
    if (node.attribute("alpha", 1.0), node.attribute("beta", 1.0), node.attribute("transA", 0)) != (1, 1, 0):
        raise to.unknown(node, "with alpha, beta or transA")
    weight = to.constant(node, 1)
    weight = weight if node.attribute("transB", 0) else weight.T
    bias = to.buffer(to.constant(node, 2)) if len(node.inputs) > 2 else None
    return to.call(functional.linear, to.tensor(node.inputs[0]), to.buffer(weight), bias)


def _reduce_mean(to: Translation, node: Node) -> fx.Node:
    axes = node.attribute("axes") or to.constant(node, 1).tolist()
    keep = bool(node.attribute("keepdims", 1))
    return to.call(torch.mean, to.tensor(node.inputs[0]), tuple(axes), keepdim=keep)


def _reshape(to: Translation, node: Node) -> fx.Node:
    batch, *rest = to.shape(node, node.inputs[1])
    if batch not in (BATCH, -1) or 0 in rest:
        raise to.unknown(node, "that doesn't keep the batch first")
    return to.call(_keep_batch, to.tensor(node.inputs[0]), tuple(rest))


def _keep_batch(tensor: Any, sizes: Sequence[int]) -> Any:
    return tensor.reshape(tensor.shape[0], *sizes)


def _axes_of(to: Translation, node: Node) -> tuple[int, ...]:
    return tuple(node.attribute("axes") or to.constant(node, 1).ravel().tolist())


def _unsqueeze(to: Translation, node: Node) -> fx.Node:
    value = to.tensor(node.inputs[0])
    for axis in sorted(_axes_of(to, node)):
        value = to.call(torch.unsqueeze, value, axis)
    return value


def _split(to: Translation, node: Node) -> fx.Node:
    source, axis = to.tensor(node.inputs[0]), node.attribute("axis", 0)
    if len(node.inputs) == 1:
        return to.call(torch.chunk, source, len(node.outputs), dim=axis)
    return to.call(torch.split, source, to.constant(node, 1).tolist(), dim=axis)


def _cast(to: Translation, node: Node) -> fx.Node:
    if node.attribute("to") != TensorProto.FLOAT:
        raise to.unknown(node, "to another type than float32")
    return to.call(torch.Tensor.to, to.tensor(node.inputs[0]), torch.float32)


def _plain(function: Callable[..., Any], **options: Any) -> Rule:
    """A rule for a node whose inputs are the function's arguments."""
    return lambda to, node: to.call(function, *map(to.tensor, node.inputs), **options)


RULES: Final[Mapping[str, Rule]] = {
    "Add": _plain(torch.add),
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda to, node: to.call(
        torch.cat, [to.tensor(name) for name in node.inputs], dim=node.attribute("axis")
    ),
    "Conv": _convolution,
    "Div": _plain(torch.div),
    "Flatten": lambda to, node: to.call(torch.flatten, to.tensor(node.inputs[0]), node.attribute("axis", 1)),
    "Gemm": _gemm,
    "GlobalAveragePool": _plain(torch.mean, dim=(2, 3), keepdim=True),
    "GlobalMaxPool": _plain(torch.amax, dim=(2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _plain(functional.hardswish),
    "Identity": lambda to, node: to.tensor(node.inputs[0]),
    "MatMul": _plain(torch.matmul),
    "MaxPool": _max_pool,
    "Mul": _plain(torch.mul),
    "ReduceMean": _reduce_mean,
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Sigmoid": _plain(torch.sigmoid),
    "Split": _split,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": lambda to, node: to.call(torch.permute, to.tensor(node.inputs[0]), node.attribute("perm")),
    "Unsqueeze": _unsqueeze,
}
"""A rule for each kind of node that can be translated."""
