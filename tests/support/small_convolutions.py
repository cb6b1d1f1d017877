"""A small encoder by hand, with all that int8 has to deal with: residual sum, pooling, a norm of its own."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from cxrscribe.bundle.contract import encoder_interface
from cxrscribe_export.graphs.graph_builder import GraphBuilder

SIDE = 32
FEATURES = 12


def small_encoder(seed: int = 0) -> onnx.ModelProto:
    """image uint8 [N, 32, 32] -> features float32 [N, 12]."""
    random = np.random.default_rng(seed)
    graph = GraphBuilder()

    def constant(*shape: int, low: float | None = None) -> str:
        value = random.normal(size=shape) if low is None else random.uniform(low, 2, shape)
        return graph.constant(value.astype(np.float32))

    def convolution(source: str, ins: int, outs: int, stride: int = 1, norm: bool = True) -> str:
        weight = graph.constant((random.normal(size=(outs, ins, 3, 3)) / np.sqrt(9 * ins)).astype(np.float32))
        inputs = [source, weight] if norm else [source, weight, constant(outs)]
        found = graph.node("Conv", *inputs, pads=[1, 1, 1, 1], strides=[stride, stride])
        return batch_norm(found, outs) if norm else found

    def batch_norm(source: str, size: int) -> str:
        parts = [constant(size, low=0.5), constant(size), constant(size), constant(size, low=0.5)]
        return graph.node("BatchNormalization", source, *parts, epsilon=1e-3)

    grey = graph.node("Cast", "image", to=TensorProto.FLOAT)
    plane = graph.node("Unsqueeze", grey, graph.constant(np.array([1])))
    scaled = graph.node("Mul", plane, graph.constant(np.float32(1 / 64)))
    stem = graph.node("Relu", convolution(scaled, 1, 8, stride=2))
    pooled = graph.node("MaxPool", stem, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    inner = convolution(graph.node("Relu", convolution(pooled, 8, 8)), 8, 8)
    residual = graph.node("Relu", graph.node("Add", inner, convolution(pooled, 8, 8)))
    joined = graph.node("Concat", residual, pooled, axis=1)
    own_norm = graph.node("Relu", batch_norm(joined, 16))
    last = graph.node("Clip", convolution(own_norm, 16, FEATURES, norm=False), constant_of(graph, 0), "")
    graph.node("Flatten", graph.node("GlobalAveragePool", last), name="features")
    return graph.model(encoder_interface(SIDE, SIDE, FEATURES))


def constant_of(graph: GraphBuilder, value: float) -> str:
    return graph.constant(np.float32(value))


def small_films(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth blobs and noise: uint8 [count, 32, 32]."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 200, (count, 8, 8)).repeat(4, axis=1).repeat(4, axis=2)
    return (coarse + random.integers(0, 56, (count, SIDE, SIDE))).astype(np.uint8)
