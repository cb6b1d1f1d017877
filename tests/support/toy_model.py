"""A small random step model in numpy, with as many ties as wanted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.step import State
from cxrscribe.vocabulary import SPECIAL_TOKENS, Vocabulary


def toy_vocabulary(words: int) -> Vocabulary:
    return Vocabulary((*SPECIAL_TOKENS, *(f"word{number}" for number in range(words - 4))))


class ToyStep:
    """The next word depends on all words before. `grain` makes ties.

    `nudge` then breaks them by a little.
    """

    def __init__(self, seed: int, words: int, size: int = 6, grain: float = 0.0, nudge: float = 0.0) -> None:
        rng = np.random.default_rng(seed)
        self.features = rng.normal(size=(4, size)).astype(np.float32)
        self.words = rng.normal(size=(words, size)).astype(np.float32)
        self.mixing = rng.normal(size=(size, size)).astype(np.float32)
        self.output = (2 * rng.normal(size=(size, words))).astype(np.float32)
        self.grain = grain
        self.nudge = nudge

    def initial_state(self, features: NDArray[np.float32]) -> State:
        hidden = np.tanh(_rows(features, self.features))[np.newaxis]
        return State(hidden, hidden * 0.5)

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        hidden = np.tanh(_rows(state.hidden[0], self.mixing) + self.words[tokens] + state.cell[0])
        logits = _rows(hidden, self.output)
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        if self.grain:
            log_probs = np.minimum(np.round(log_probs / self.grain), -1) * self.grain
            log_probs = log_probs - self.nudge * (np.arange(log_probs.shape[1]) % 3)
        return log_probs.astype(np.float32), State(hidden[np.newaxis], 0.5 * state.cell + 0.1 * hidden)


def _rows(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matrix product whose rows don't depend on each other, to the bit."""
    return (left[:, :, np.newaxis] * right[np.newaxis]).sum(axis=1)
