"""Small decoders to search with: LSTM stacks in numpy, with rounded logits where ties shall be common.

Results of searches are compared to the bit, so a row must not depend on what is computed beside it. numpy's
`@` makes no such promise: it hands the product to a BLAS, and on many processors (with OpenBLAS' kernels for
Haswell and Zen, say) that gives a row other last bits in other company. `SmallDecoder` uses none.
`CompanyDecoder` is such a decoder on purpose, to show that `assert_independent_rows` notices one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.step import State
from cxrscribe.vocabulary import SPECIAL_TOKENS, START, Vocabulary

Array = NDArray[np.float32]


def letters(words: int) -> Vocabulary:
    """A vocabulary of `words` words in all: the special tokens, then a, b, c ..."""
    return Vocabulary((*SPECIAL_TOKENS, *(chr(ord("a") + i) for i in range(words - len(SPECIAL_TOKENS)))))


@dataclass(frozen=True)
class SmallDecoder:
    """A StepModel of random weights, whose rows don't depend on each other, to the bit."""

    image: Array  # [F, E]
    embedding: Array  # [V, E]
    weights: tuple[Array, ...]  # of each layer [input + D, 4 * D]: input, forget, candidate, output gate
    output: Array  # [D, V]
    quantum: float
    """Log-probabilities are rounded to multiples of this, and low ones become -inf; 0 leaves them alone."""

    @classmethod
    def random(
        cls, seed: int, words: int, layers: int = 1, hidden: int = 4, features: int = 3, quantum: float = 0.0
    ) -> Self:
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
        return self._advance(product(features, self.image), State(zeros, zeros))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[Array, State]:
        after = self._advance(self.embedding[tokens], state)
        return self._log_probs(after.hidden[-1]), after

    def next_log_probs(self, features: Array, words: tuple[int, ...]) -> Array:
        """What the reference search asks: log-probabilities after an image [F] and these words."""
        state = self.initial_state(features[None])
        for token in (START, *words):
            log_probs, state = self.step(np.array([token]), state)
        return log_probs[0]

    def _log_probs(self, hidden: Array) -> Array:
        logits = product(hidden, self.output)
        if self.quantum:
            # Negative multiples of a power of two: their float32 sums are exact, so equal sums are real ties.
            rounded = np.round(np.minimum(logits, 0) / self.quantum) * self.quantum
            return np.where(rounded < -6, -np.inf, rounded).astype(np.float32)
        shifted = logits - logits.max(axis=1, keepdims=True)
        total = product(np.exp(shifted), np.ones((shifted.shape[1], 1), np.float32))
        return (shifted - np.log(total)).astype(np.float32)

    def _advance(self, below: Array, state: State) -> State:
        hidden, cell = np.empty_like(state.hidden), np.empty_like(state.cell)
        for layer, weights in enumerate(self.weights):
            gates = product(np.concatenate((below, state.hidden[layer]), axis=1), weights)
            into, forget, candidate, out = np.split(gates, 4, axis=1)
            cell[layer] = _sigmoid(forget) * state.cell[layer] + _sigmoid(into) * np.tanh(candidate)
            hidden[layer] = below = _sigmoid(out) * np.tanh(cell[layer])
        return State(hidden, cell)


class CompanyDecoder(SmallDecoder):
    """As a BLAS may do it: in company, a row gets other last bits than alone."""

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[Array, State]:
        log_probs, after = super().step(tokens, state)
        return (log_probs if len(log_probs) == 1 else np.nextafter(log_probs, np.float32(-np.inf))), after


def assert_independent_rows(model: SmallDecoder, features: Array) -> None:
    """Fail, and say so, where a row of the decoder depends on its company: no search could agree then."""
    alone = [model.initial_state(row[None]) for row in features]
    tokens = np.arange(len(features)) % len(model.embedding)
    together, _ = model.step(tokens, model.initial_state(features))
    for row, state in enumerate(alone):
        by_itself, _ = model.step(tokens[row : row + 1], state)
        assert by_itself.tobytes() == together[row : row + 1].tobytes(), (
            f"the test's own decoder is at fault, not the search: row {row} has other last bits alone than "
            f"among {len(features)} rows"
        )


def product(rows: Array, weights: Array) -> Array:
    """[R, n] x [n, m] -> [R, m], each number the sum of its terms in their order, whatever R is.

    Only elementwise operations: how numpy groups them for a vector unit changes no result.
    """
    terms = rows[:, :, None] * weights
    total = np.zeros((len(rows), weights.shape[1]), np.float32)
    for place in range(weights.shape[0]):
        total += terms[:, place]
    return total


def _sigmoid(x: Array) -> Array:
    return np.float32(1) / (np.float32(1) + np.exp(-x))
