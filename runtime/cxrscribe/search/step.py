"""What beam search asks of a decoder, whoever computes it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.state import State

__all__ = ["State", "StepModel"]


class StepModel(Protocol):
    """A decoder that advances hypotheses by one word.

    A row's results must not depend on the other rows: search relies on it for batch invariance.
    """

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image. `features`: float32 [N, F]. State of N rows."""

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row.

        `tokens`: int64 [R], the word that each row got last (`<start>` at first); `state`: R rows.
        Gives log-probabilities of the next word, float32 [R, V], and the state after the token, R rows.
        """
