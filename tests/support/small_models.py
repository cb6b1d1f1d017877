"""Small decoders to search with: LSTM stacks in numpy, with rounded logits where ties shall be common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.state import State
from cxrscribe.vocabulary import SPECIAL_TOKENS, START, Vocabulary

Array = NDArray[np.float32]


def letters(words: int) -> Vocabulary:
    """A vocabulary of `words` words in all: the special tokens, then a, b, c ..."""
    return Vocabulary((*SPECIAL_TOKENS, *(chr(ord("a") + i) for i in range(words - len(SPECIAL_TOKENS)))))


@dataclass(frozen=True)
class SmallDecoder:
    """A StepModel of random weights. Rows are computed one by one, so that no row can depend on another."""

    image: Array  # [F, E]
    embedding: Array  # [V, E]
    weights: tuple[Array, ...]  # of each layer [input + D, 4 * D]: input, forget, candidate, output gate
    output: Array  # [D, V]
    quantum: float
    """Log-probabilities are rounded to multiples of this, and low ones become -inf; 0 leaves them alone."""

    @classmethod
    def random(
        cls, seed: int, words: int, layers: int = 1, hidden: int = 4, features: int = 3, quantum: float = 0.0
    ) -> SmallDecoder:
        random = np.random.default_rng(seed)

        def normal(*shape: int) -> Array:
            return random.standard_normal(shape).astype(np.float32)

        embedding_size = 3
        inputs = [embedding_size, *[hidden] * (layers - 1)]
        return cls(
            image=normal(features, embedding_size),
            embedding=normal(words, embedding_size),
            weights=tuple(normal(size + hidden, 4 * hidden) for size in inputs),
            output=2 * normal(hidden, words),
            quantum=quantum,
        )

    @property
    def layers(self) -> int:
        return len(self.weights)

    @property
    def hidden_size(self) -> int:
        return int(self.output.shape[0])

    def initial_state(self, features: Array) -> State:
        zeros = np.zeros((self.layers, len(features), self.hidden_size), np.float32)
        return self._advance(features @ self.image, State(zeros, zeros))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[Array, State]:
        after = self._advance(self.embedding[tokens], state)
        log_probs = np.stack([self._log_probs(h) for h in after.hidden[-1]])
        return log_probs, after

    def next_log_probs(self, features: Array, words: tuple[int, ...]) -> Array:
        """What the reference search asks: log-probabilities after an image [F] and these words."""
        state = self.initial_state(features[None])
        for token in (START, *words):
            log_probs, state = self.step(np.array([token]), state)
        return log_probs[0]

    def _log_probs(self, hidden: Array) -> Array:
        logits = hidden @ self.output
        if self.quantum:
            # Negative multiples of a power of two: their float32 sums are exact, so equal sums are real ties.
            rounded = np.round(np.minimum(logits, 0) / self.quantum) * self.quantum
            return np.where(rounded < -6, -np.inf, rounded).astype(np.float32)
        shifted = logits - logits.max()
        return (shifted - np.log(np.exp(shifted).sum())).astype(np.float32)

    def _advance(self, inputs: Array, state: State) -> State:
        rows = [
            self._row(inputs[row], state.hidden[:, row], state.cell[:, row]) for row in range(len(inputs))
        ]
        hidden = np.stack([row[0] for row in rows], axis=1)
        return State(hidden, np.stack([row[1] for row in rows], axis=1))

    def _row(self, below: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
        new_hidden, new_cell = np.empty_like(hidden), np.empty_like(cell)
        for layer, weights in enumerate(self.weights):
            gates = np.concatenate((below, hidden[layer])) @ weights
            into, forget, candidate, out = np.split(gates, 4)
            new_cell[layer] = _sigmoid(forget) * cell[layer] + _sigmoid(into) * np.tanh(candidate)
            new_hidden[layer] = below = _sigmoid(out) * np.tanh(new_cell[layer])
        return new_hidden, new_cell


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (np.float32(1) + np.exp(-x))
