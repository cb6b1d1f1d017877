"""The decoder's step on onnxruntime."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.architecture import Architecture
from cxrscribe.session import Session
from cxrscribe.state import State

_STATE: Final = ("hidden", "cell")
_STEP: Final = ("log_probs", "hidden_out", "cell_out")


class OnnxStep:
    """The StepModel of `decoder_init.onnx` and `decoder_step.onnx`."""

    def __init__(self, init: Session, step: Session, architecture: Architecture) -> None:
        """Raises BundleError when the graphs aren't these two, or not of this architecture."""
        size = (architecture.hidden_size,)
        state = dict.fromkeys(_STATE, size)
        init.expect({"features": (architecture.feature_size,)}, state)
        outputs = {"log_probs": (architecture.vocabulary_size,), "hidden_out": size, "cell_out": size}
        step.expect({"token": (), **state}, outputs)
        self._init = init
        self._step = step

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image. `features`: float32 [N, F]. State of N rows."""
        return State(*self._init.run(_STATE, {"features": features}))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """See StepModel: tokens int64 [R] -> log_probs float32 [R, V] and the next state."""
        log_probs, hidden, cell = self._step.run(
            _STEP, {"token": tokens, "hidden": state.hidden, "cell": state.cell}
        )
        return log_probs, State(hidden, cell)
