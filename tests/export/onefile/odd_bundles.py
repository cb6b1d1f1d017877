"""Bundles whose network does what networks rarely do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from support.small_bundle import SmallBundle


@dataclass(frozen=True)
class TwinWords(SmallBundle):
    """Every second word is exactly as probable as the one before it: each step is full of ties."""

    def _step(self) -> onnx.GraphProto:
        graph = super()._step()
        for tensor in graph.initializer:
            values = numpy_helper.to_array(tensor).copy()
            if values.shape == (self.words, self.embedding):
                values[5::2] = values[4:-1:2]
            elif values.shape == (self.hidden, self.words):
                values[:, 5::2] = values[:, 4:-1:2]
            else:
                continue
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return graph


@dataclass(frozen=True)
class NanOfBlackFilm(SmallBundle):
    """A black film's features are NaN."""

    def _encoder(self) -> onnx.GraphProto:
        graph = super()._encoder()
        graph.node[-1].output[0] = "finite"
        graph.node.extend(
            [
                helper.make_node("ReduceMax", ["scaled"], ["most"], axes=[1, 2], keepdims=0),
                helper.make_node("Div", ["most", "most"], ["one"]),
                helper.make_node("Unsqueeze", ["one", "column"], ["one_column"]),
                helper.make_node("Mul", ["finite", "one_column"], ["features"]),
            ]
        )
        graph.initializer.append(numpy_helper.from_array(np.array([1]), "column"))
        return graph


@dataclass(frozen=True)
class NanAfterWords(SmallBundle):
    """The state after one of these words is NaN."""

    nan_words: tuple[int, ...] = ()

    def _step(self) -> onnx.GraphProto:
        graph = super()._step()
        for tensor in graph.initializer:
            values = numpy_helper.to_array(tensor).copy()
            if values.shape == (self.words, self.embedding):
                values[list(self.nan_words)] = np.nan
                tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        return graph
