"""The decoder's step on onnxruntime."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.contract import decoder_init_interface, decoder_step_interface
from cxrscribe.search.step import State
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.sessions.session import Session

_STATE: Final = ("hidden", "cell")
_STATE_OUT: Final = ("hidden_out", "cell_out")


class OnnxStep:
    """The StepModel of `decoder_init.onnx` and `decoder_step.onnx`."""

    def __init__(self, init: Session, step: Session, architecture: Architecture) -> None:
        """Raises BundleError when the graphs aren't these two, or not of this architecture."""
        layers, hidden_size = architecture.layers, architecture.hidden_size
        init.expect(decoder_init_interface(architecture.feature_size, layers, hidden_size))
        step.expect(decoder_step_interface(layers, hidden_size, architecture.vocabulary_size))
        self._init = init
        self._step = step

    def expander(self, padded_images: int) -> StepExpander:
        """A new expander. It computes only rows that hold a hypothesis; `load` refuses to be strict on it."""
        return StepExpander(self)

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image. `features`: float32 [N, F]. State of N rows."""
        return State(*self._init.run(_STATE, {"features": features}))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the next state."""
        log_probs, hidden, cell = self._step.run(
            ("log_probs", *_STATE_OUT), {"token": tokens, "hidden": state.hidden, "cell": state.cell}
        )
        return log_probs, State(hidden, cell)
