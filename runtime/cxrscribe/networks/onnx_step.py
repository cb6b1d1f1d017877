"""The decoder's step on onnxruntime."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import DECODER_INIT, DECODER_STEP, decoder_interfaces
from cxrscribe.networks.start import start_inputs
from cxrscribe.search.step import State
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.sessions.session import Session

_STATE: Final = ("hidden", "cell")
_STATE_OUT: Final = ("hidden_out", "cell_out")


class OnnxStep:
    """The StepModel of `decoder_init.onnx` and `decoder_step.onnx`."""

    def __init__(self, init: Session, step: Session, architecture: Architecture) -> None:
        """Raises BundleError when the graphs aren't these two, or not of this architecture."""
        interfaces = decoder_interfaces(architecture)
        init.expect(interfaces[DECODER_INIT])
        step.expect(interfaces[DECODER_STEP])
        self._init = init
        self._step = step
        self._feature_size = architecture.feature_size
        self._started = (*_STATE, "context") if architecture.context is not None else _STATE

    def expander(self, padded_images: int) -> StepExpander:
        """A new expander. It computes only rows that hold a hypothesis; `load` refuses to be strict on it."""
        return StepExpander(self)

    def step_model(self) -> OnnxStep:
        """Itself."""
        return self

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image, as `StepModel` has it. State of N rows."""
        return State(*self._init.run(self._started, start_inputs(features, self._feature_size)))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the next state."""
        inputs: dict[str, NDArray[Any]] = {"token": tokens, "hidden": state.hidden, "cell": state.cell}
        if state.context is not None:
            inputs["context"] = state.context
        log_probs, hidden, cell = self._step.run(("log_probs", *_STATE_OUT), inputs)
        return log_probs, State(hidden, cell, state.context)
