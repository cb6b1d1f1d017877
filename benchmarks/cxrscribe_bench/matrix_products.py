"""The floor: nothing but the matrix products of a search, at the rows that it really ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.architecture import Architecture
from cxrscribe_export.graph_builder import GraphBuilder
from cxrscribe_export.interface import GraphInterface, Port
from cxrscribe_export.runner import GraphRunner


class MatrixProducts:
    """Runs an onnxruntime graph of the products of the step, and one of those of the initial state."""

    def __init__(self, architecture: Architecture) -> None:
        self._architecture = architecture
        self._step = GraphRunner(_products(_step_sizes(architecture), "step"))
        self._init = GraphRunner(_products(_initial_sizes(architecture), "init"))
        self._inputs: dict[tuple[bool, int], list[NDArray[np.float32]]] = {}

    def prepare(self, steps: Sequence[int], initial: Sequence[int]) -> None:
        """Make the factors for these numbers of rows, so that `run` only multiplies."""
        sizes = {False: _initial_sizes(self._architecture), True: _step_sizes(self._architecture)}
        random = np.random.default_rng(0)
        for step, rows in {*((True, rows) for rows in steps), *((False, rows) for rows in initial)}:
            self._inputs[step, rows] = [
                random.standard_normal((rows, inner)).astype(np.float32) for inner, _ in sizes[step]
            ]

    def run(self, steps: Sequence[int], initial: Sequence[int]) -> None:
        """Multiply: `steps` and `initial` have the rows of each call, in order."""
        for rows in initial:
            self._init.run(*self._inputs[False, rows])
        for rows in steps:
            self._step.run(*self._inputs[True, rows])


def multiplications(architecture: Architecture, steps: Sequence[int]) -> int:
    """Multiply-adds of these steps' products."""
    per_row = sum(inner * outer for inner, outer in _step_sizes(architecture))
    return per_row * sum(rows * count for rows, count in Counter(steps).items())


def _step_sizes(architecture: Architecture) -> list[tuple[int, int]]:
    """[inner, outer] of each product: h x W of the first layer, [below, h] x W of the others, the output."""
    size = architecture.hidden_size
    others = [(2 * size, 4 * size)] * (architecture.layers - 1)
    return [(size, 4 * size), *others, (size, architecture.vocabulary_size)]


def _initial_sizes(architecture: Architecture) -> list[tuple[int, int]]:
    size = architecture.hidden_size
    others = [(size, 4 * size)] * (architecture.layers - 1)
    embedding = architecture.embedding_size
    return [(architecture.feature_size, embedding), (embedding, 4 * size), *others]


def _products(sizes: list[tuple[int, int]], name: str) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    graph = GraphBuilder()
    inputs, outputs = [], []
    for place, (inner, outer) in enumerate(sizes):
        inputs.append(Port(f"factor_{place}", "float32", ("R", inner)))
        outputs.append(Port(f"product_{place}", "float32", ("R", outer)))
        weight = graph.constant(random.standard_normal((inner, outer)).astype(np.float32))
        graph.node("MatMul", inputs[-1].name, weight, name=outputs[-1].name)
    return graph.model(GraphInterface(name, tuple(inputs), tuple(outputs)))
