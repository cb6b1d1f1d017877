"""The decoder on Paddle, for the runtime's beam search."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.state import State
from cxrscribe_models import ReportDecoder


class PaddleStep:
    """A `cxrscribe.step.StepModel` that runs a ReportDecoder, so that a run is decoded without an export."""

    def __init__(self, decoder: ReportDecoder) -> None:
        """Takes the decoder as it is and puts it in eval mode."""
        decoder.eval()
        self._decoder = decoder

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image; `features` is float32 [N, F]."""
        with paddle.no_grad():
            hidden, cell = self._decoder.initial_state(paddle.to_tensor(features))
        return State(hidden.numpy(), cell.numpy())

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the state after."""
        with paddle.no_grad():
            log_probs, hidden, cell = self._decoder.step(
                paddle.to_tensor(tokens), paddle.to_tensor(state.hidden), paddle.to_tensor(state.cell)
            )
        return log_probs.numpy(), State(hidden.numpy(), cell.numpy())
