"""The floor: nothing but the matrix products of a search, at the rows that it really ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.bundle.files import TensorEntry
from cxrscribe.sessions.device import import_onnxruntime, usable_threads
from cxrscribe_export.graphs.graph_builder import GraphBuilder


class MatrixProducts:
    """Runs an onnxruntime graph of the products of the step, and one of those of the initial state."""

    def __init__(self, architecture: Architecture, threads: int | None = None) -> None:
        """`threads`: of the CPU, None for as many as this process may use."""
        self._architecture = architecture
        self._step = _Runner(_products(step_sizes(architecture), "step"), threads)
        self._init = _Runner(_products(initial_sizes(architecture), "init"), threads)
        self._inputs: dict[tuple[bool, int], list[NDArray[np.float32]]] = {}

    def prepare(self, steps: Sequence[int], initial: Sequence[int]) -> None:
        """Make the factors for these numbers of rows, so that `run` only multiplies."""
        sizes = {False: initial_sizes(self._architecture), True: step_sizes(self._architecture)}
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
    per_row = sum(inner * outer for inner, outer in step_sizes(architecture))
    return per_row * sum(rows * count for rows, count in Counter(steps).items())


def step_sizes(architecture: Architecture) -> list[tuple[int, int]]:
    """[inner, outer] of each product of a step.

    h x W of the first layer, [below, h] x W of the others, the output.
    """
    size = architecture.hidden_size
    others = [(2 * size, 4 * size)] * (architecture.layers - 1)
    return [(size, 4 * size), *others, (size, architecture.vocabulary_size)]


def initial_sizes(architecture: Architecture) -> list[tuple[int, int]]:
    """[inner, outer] of each product of the initial state: features, projected image, the other layers."""
    size = architecture.hidden_size
    others = [(size, 4 * size)] * (architecture.layers - 1)
    embedding = architecture.embedding_size
    return [(architecture.feature_size, embedding), (embedding, 4 * size), *others]


def open_products(model: onnx.ModelProto, threads: int | None) -> Any:
    """An onnxruntime.InferenceSession on the CPU, with the threads and waiting of the runtime's own."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or usable_threads()
    options.log_severity_level = 3
    # Threads of a session that has nothing to do must not slow another one while both are timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


class _Runner:
    def __init__(self, model: onnx.ModelProto, threads: int | None) -> None:
        self._session = open_products(model, threads)
        self._names = [value.name for value in self._session.get_inputs()]

    def run(self, *inputs: NDArray[np.float32]) -> None:
        self._session.run(None, dict(zip(self._names, inputs, strict=True)))


def _products(sizes: list[tuple[int, int]], name: str) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    graph = GraphBuilder()
    inputs, outputs = [], []
    for place, (inner, outer) in enumerate(sizes):
        inputs.append(TensorEntry(f"factor_{place}", "float32", ("R", inner)))
        outputs.append(TensorEntry(f"product_{place}", "float32", ("R", outer)))
        weight = graph.constant(random.standard_normal((inner, outer)).astype(np.float32))
        graph.node("MatMul", inputs[-1].name, weight, name=outputs[-1].name)
    return graph.model(GraphInterface(name, tuple(inputs), tuple(outputs)))
