"""What beam search asks of a decoder that makes one step at a time, and the LSTM state that goes between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class State:
    """What the decoder remembers of each hypothesis row. Arrays in here are never written to again."""

    hidden: NDArray[np.float32]
    """h of every layer, float32 [L, rows, D]."""
    cell: NDArray[np.float32]
    """c of every layer, float32 [L, rows, D]."""
    context: NDArray[np.float32] | None = None
    """What every step adds to the first layer's gates, float32 [rows, 4 * D]; None for a model that sees the
    film alone."""

    @classmethod
    def concatenate(cls, states: Sequence[State]) -> State:
        """All their rows, in order."""
        if len(states) == 1:
            return states[0]
        return cls(
            np.concatenate([state.hidden for state in states], axis=1),
            np.concatenate([state.cell for state in states], axis=1),
            None
            if states[0].context is None
            else np.concatenate([state.context for state in states if state.context is not None]),
        )

    def __len__(self) -> int:
        """Number of rows."""
        return int(self.hidden.shape[1])

    def take(self, rows: NDArray[np.int64]) -> State:
        """The rows with these numbers, in this order, each as often as it is named; a copy.

        Reordering, copying a parent to its children and dropping finished images are all this one gather.
        """
        context = None if self.context is None else self.context.take(rows, axis=0)
        return State(self.hidden.take(rows, axis=1), self.cell.take(rows, axis=1), context)


class StepModel(Protocol):
    """A decoder that advances hypotheses by one word.

    A row's results must not depend on the other rows: search relies on it for batch invariance.
    """

    def initial_state(self, features: NDArray[np.float32]) -> State:
        """The state after the image. `features`: float32 [N, F]. State of N rows.

        For a model with a context, [N, F + P]: the numbers of the patient's text stand behind the features.
        """

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        """Feed one token to each row.

        `tokens`: int64 [R], the word that each row got last (`<start>` at first); `state`: R rows.
        Gives log-probabilities of the next word, float32 [R, V], and the state after the token, R rows.
        """
