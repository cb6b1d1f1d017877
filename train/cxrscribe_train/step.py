"""The decoder on Paddle, for the runtime's beam search."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.search.step import State
from cxrscribe_models import ReportDecoder


class PaddleStep:
    """A `cxrscribe.search.step.StepModel` that runs a ReportDecoder: a run is decoded without an export.

    The log-softmax is Paddle's in float64, rounded to float32 once. Its float32 one on the CPU is off by
    about 8e-7 a word, always to the same side, which adds up to 1e-4 over a long report; onnxruntime's isn't.
    """

    def __init__(self, decoder: ReportDecoder) -> None:
        """Takes the decoder as it is and puts it in eval mode."""
        decoder.eval()
        self._decoder = decoder

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image; `features` is float32 [N, F], or [N, F + P] as StepModel has it."""
        decoder, size = self._decoder, self._decoder.feature_size
        with paddle.no_grad():
            if decoder.context is None:
                hidden, cell = decoder.initial_state(paddle.to_tensor(features))
                return State(hidden.numpy(), cell.numpy())
            film, patient = (paddle.to_tensor(part) for part in (features[:, :size], features[:, size:]))
            context = decoder.context_gates(film, patient)
            hidden, cell = decoder.initial_state(film, context)
        return State(hidden.numpy(), cell.numpy(), context.numpy())

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row: int64 [R] -> log-probabilities float32 [R, V] and the state after."""
        with paddle.no_grad():
            logits, hidden, cell = self._decoder.step_logits(
                paddle.to_tensor(tokens),
                paddle.to_tensor(state.hidden),
                paddle.to_tensor(state.cell),
                None if state.context is None else paddle.to_tensor(state.context),
            )
            log_probs = paddle.nn.functional.log_softmax(paddle.cast(logits, "float64"), axis=-1)
        return log_probs.numpy().astype(np.float32), State(hidden.numpy(), cell.numpy(), state.context)
