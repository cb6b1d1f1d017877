"""A graph in memory, run by onnxruntime on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cxrscribe.state import State
from cxrscribe.threads import usable_threads
from cxrscribe_export.graph import Graph

Array = NDArray[Any]


class GraphRunner:
    """An onnxruntime session over one graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_threads()
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def run(self, *inputs: Array) -> list[Array]:
        """All outputs, in order, for `inputs`, in order."""
        names = [value.name for value in self._session.get_inputs()]
        outputs: list[Array] = self._session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs


class GraphStep:
    """A `cxrscribe.step.StepModel` on the graphs decoder_init and decoder_step."""

    def __init__(self, initial_state: Graph, step: Graph) -> None:
        self._initial_state = GraphRunner(initial_state.model)
        self._step = GraphRunner(step.model)

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image; `features` is float32 [N, F]."""
        return State(*self._initial_state.run(features))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the state after."""
        log_probs, hidden, cell = self._step.run(tokens, state.hidden, state.cell)
        return log_probs, State(hidden, cell)
