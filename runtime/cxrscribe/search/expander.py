"""What a search asks of whoever expands its rows, and what they give each other: rows out, candidates back.

A is the number of images that are searched for, K the largest beam width among them, V the number of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.step import StepModel

_INFINITE: Final = float("inf")


@dataclass(frozen=True)
class Frontier:
    """The rows to expand next: K places an image, in rank order. Unused places have score -inf.

    The search writes to these arrays when it advances.
    """

    token: NDArray[np.int64]
    """[A * K]: the word that each row got last."""
    parent: NDArray[np.int64]
    """[A * K]: where its state is: the row in the frontier before this one, behind which the states of the
    images stand that were admitted since, in order."""
    score: NDArray[np.float32]
    """[A, K]: log_prob so far."""
    bias: NDArray[np.float32]
    """[1, V] or [A * K, V]: -inf where a word is forbidden, else 0."""


@dataclass(frozen=True)
class Candidates:
    """The best 2K continuations of each image, best first; equal ones by lower index. Score -inf is none."""

    score: NDArray[np.float32]
    """[A, 2K]: log_prob with the new token. NaN for an image for which the network gave NaN."""
    index: NDArray[np.int64]
    """[A, 2K]: rank of the parent in its image * V + word."""
    token_log_prob: NDArray[np.float32]
    """[A, 2K]: the new token's share."""

    def shaped(self, images: int, candidates: int) -> Candidates:
        """The same flat arrays as [images, candidates], as far as that goes."""
        part, shape = slice(images * candidates), (images, candidates)
        return Candidates(
            self.score[part].reshape(shape),
            self.index[part].reshape(shape),
            self.token_log_prob[part].reshape(shape),
        )

    def first(self, images: int) -> Candidates:
        """Those of the first images only."""
        return Candidates(self.score[:images], self.index[:images], self.token_log_prob[:images])


class CandidateCheck:
    """Finds candidates that can't be, in arrays that a graph of a bundle writes again and again."""

    def __init__(self, candidates: Candidates, continuations: int) -> None:
        """`candidates`: contiguous arrays; `continuations`: K * V, what an index has to be below."""
        self._candidates = candidates
        self._continuations = continuations
        # Below zero is very large without a sign.
        self._numbers = candidates.index.reshape(-1).view(np.uint64)
        self._scores = candidates.score.reshape(-1)
        self._shares = candidates.token_log_prob.reshape(-1)

    def run(self) -> None:
        """Give each image the score NaN that has an index which names no row and word, a NaN, or a share of a
        live candidate that isn't finite.
        """
        # To find a place and look there takes a third of the time that a maximum takes, in all about a
        # microsecond a step. NaN is the largest and the smallest at once.
        numbers, scores, shares = self._numbers, self._scores, self._shares
        if (
            numbers.item(numbers.argmax()) < self._continuations
            and scores.item(scores.argmax()) < _INFINITE
            and shares.item(shares.argmax()) < _INFINITE
            and shares.item(shares.argmin()) > -_INFINITE
        ):
            return
        found = self._candidates
        live = found.score != -np.inf
        good = (found.index >= 0) & (found.index < self._continuations)
        good &= ~live | (np.isfinite(found.score) & np.isfinite(found.token_log_prob))
        wrong = ~good.all(axis=1)
        found.score[wrong] = np.nan
        found.index[wrong] = 0


class Expander(Protocol):
    """Holds the states of one batch of searches, and expands their rows."""

    def enqueue(self, features: NDArray[np.float32]) -> None:
        """Let images wait: compute their initial states from features float32 [n, F]."""

    def admit(self, count: int) -> None:
        """Let the `count` images that wait longest enter, behind the rows of the last frontier."""

    def expand(self, frontier: Frontier) -> Candidates:
        """The 2K best continuations of each image. Calls must follow each other step by step."""

    def clear(self) -> None:
        """Forget all states."""

    @property
    def rows(self) -> int:
        """Rows that the last expansion computed."""

    @property
    def seconds(self) -> float:
        """Time that the network has taken so far, initial states included."""


class Decoder(Protocol):
    """Makes expanders, each with a state of its own, and knows the canonical step."""

    def expander(self, padded_images: int) -> Expander:
        """A new one. `padded_images`: compute the rows of at least so many images, used or not."""

    def step_model(self) -> StepModel:
        """The canonical step, which gives the log-probabilities of all words."""
