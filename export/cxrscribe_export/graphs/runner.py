"""A graph in memory, run by onnxruntime on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cxrscribe.search.step import State
from cxrscribe.sessions.device import import_onnxruntime, usable_threads
from cxrscribe.sessions.matrix_form import in_matrix_form, multiplies_with_amx
from cxrscribe_export.graphs.checked_graph import Graph

Array = NDArray[Any]


class GraphRunner:
    """An onnxruntime session over one graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_threads()
        options.log_severity_level = 3
        # Threads of a session that has nothing to do must not slow another one while both are timed.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        content = model.SerializeToString()
        if multiplies_with_amx():
            content = in_matrix_form(content) or content
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, *inputs: Array) -> list[Array]:
        """All outputs, in order, for `inputs`, in order."""
        names = [value.name for value in self._session.get_inputs()]
        outputs: list[Array] = self._session.run(None, dict(zip(names, inputs, strict=True)))
        return outputs

    def bound(self, *inputs: Array) -> Callable[[], None]:
        """A run on `inputs` that writes into memory that is there already, as the runtime does."""
        onnxruntime = import_onnxruntime()
        binding = self._session.io_binding()
        for value, array in zip(self._session.get_inputs(), inputs, strict=True):
            binding.bind_cpu_input(value.name, array)
        for value, array in zip(self._session.get_outputs(), self.run(*inputs), strict=True):
            binding.bind_ortvalue_output(value.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        return lambda: self._session.run_with_iobinding(binding)


class GraphStep:
    """A `cxrscribe.search.step.StepModel` on the graphs decoder_init and decoder_step."""

    def __init__(self, initial_state: Graph, step: Graph) -> None:
        self._initial_graph = initial_state
        self._initial_state = GraphRunner(initial_state.model)
        self._step = GraphRunner(step.model)

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image; `features` is float32 [N, F]."""
        return State(*self._initial_state.run(*starts_of(self._initial_graph, features)))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the state after."""
        context = () if state.context is None else (state.context,)
        log_probs, hidden, cell = self._step.run(tokens, state.hidden, state.cell, *context)
        return log_probs, State(hidden, cell, state.context)


class FusedStep:
    """A `cxrscribe.search.step.StepModel` on the graphs beam_init and beam_step, which the runtime runs."""

    def __init__(self, initial_state: Graph, step: Graph, layers: int) -> None:
        self._layers = layers
        words = next(tensor.shape[1] for tensor in step.interface.inputs if tensor.name == "bias")
        self._no_bias = np.zeros((1, int(words)), np.float32)
        self._initial_graph = initial_state
        self._initial_state = GraphRunner(initial_state.model)
        self._step = GraphRunner(_with_log_probs(step.model))
        state = next(int(tensor.shape[1]) for tensor in step.interface.inputs if tensor.name == "state")
        own = 4 if len(initial_state.interface.inputs) > 1 else 0  # parts of a row that are the context's
        self._hidden_size = state // (2 * layers + own)

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image; `features` is float32 [N, F]."""
        return self._state(self._initial_state.run(*starts_of(self._initial_graph, features))[0])

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the state after."""
        rows = len(tokens)
        *_, state_out, log_probs = self._step.run(
            tokens,
            np.arange(rows),
            np.zeros((rows, 1), np.float32),
            rows_of(state),
            self._no_bias,
            np.array(1, np.int64),
        )
        return log_probs, self._state(state_out)

    def _state(self, rows: NDArray[np.float32]) -> State:
        cells = 2 * self._layers * self._hidden_size
        parts = rows[:, :cells].reshape(len(rows), 2, self._layers, -1).transpose(1, 2, 0, 3)  # [2, L, R, D]
        context = np.ascontiguousarray(rows[:, cells:]) if rows.shape[1] > cells else None
        hidden, cell = np.ascontiguousarray(parts)
        return State(hidden, cell, context)


def rows_of(state: State) -> NDArray[np.float32]:
    """A state as rows of the fused step's: h of all layers, then c of all layers, and the context if any."""
    parts = np.stack((state.hidden, state.cell))  # [2, L, R, D]
    cells = parts.transpose(2, 0, 1, 3).reshape(len(state), -1)
    return np.ascontiguousarray(cells if state.context is None else np.hstack((cells, state.context)))


def starts_of(graph: Graph, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """The inputs of decoder_init or beam_init, in order, from rows [N, F], or [N, F + P] for two inputs."""
    widths = [int(tensor.shape[1]) for tensor in graph.interface.inputs]
    parts = np.split(rows, np.cumsum(widths)[:-1], axis=1)
    return tuple(np.ascontiguousarray(part) for part in parts)


def _with_log_probs(step: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of beam_step that gives the log-probabilities of all words too, behind its other outputs."""
    copy = onnx.ModelProto()
    copy.CopyFrom(step)
    (log_probs,) = (node.output[0] for node in copy.graph.node if node.op_type == "LogSoftmax")
    copy.graph.output.append(helper.make_tensor_value_info(log_probs, TensorProto.FLOAT, None))
    return copy
