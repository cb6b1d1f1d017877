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


@dataclass(frozen=True, eq=False)
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


class Candidates:
    """The best 2K continuations of each image, best first; equal ones by lower index. Score -inf is none.

    The arrays are contiguous. A network may write to them again and again.
    """

    score: NDArray[np.float32]
    """[A, 2K]: log_prob with the new token. NaN for an image for which the network gave NaN."""
    index: NDArray[np.int64]
    """[A, 2K]: rank of the parent in its image * V + word."""
    token_log_prob: NDArray[np.float32]
    """[A, 2K]: the new token's share."""

    def __init__(
        self, score: NDArray[np.float32], index: NDArray[np.int64], token_log_prob: NDArray[np.float32]
    ) -> None:
        self.score, self.index, self.token_log_prob = score, index, token_log_prob
        # Below zero is very large without a sign.
        self._unsigned = index.reshape(-1).view(np.uint64)
        self._log_probs: tuple[NDArray[np.float32], ...] = (score.reshape(-1), token_log_prob.reshape(-1))

    @classmethod
    def shaped(
        cls, numbers: NDArray[np.float32], index: NDArray[np.int64], images: int, candidates: int
    ) -> Candidates:
        """[images, candidates] within flat arrays, of which `numbers` is twice as long as `index`."""
        count, shape = images * candidates, (images, candidates)
        score, share = numbers[:count].reshape(shape), numbers[count : 2 * count].reshape(shape)
        found = cls(score, index[:count].reshape(shape), share)
        found._log_probs = (numbers[: 2 * count],)  # to look at both at once
        return found

    def first(self, images: int) -> Candidates:
        """Those of the first images only."""
        return Candidates(self.score[:images], self.index[:images], self.token_log_prob[:images])

    def check(self, continuations: int) -> bool:
        """Give each image the score NaN that has an index which names no row and word, a NaN, or a share of a
        live candidate that isn't finite. `continuations`: K * V, what an index has to be below.

        Whether all are candidates: then no score is NaN or -inf.
        """
        # To find a place and look there takes a third of the time that a maximum takes. NaN is the largest
        # and the smallest at once.
        unsigned = self._unsigned
        all_good = unsigned.item(unsigned.argmax()) < continuations
        for each in self._log_probs:
            all_good &= each.item(each.argmax()) < _INFINITE and each.item(each.argmin()) > -_INFINITE
        if all_good:
            return True
        live = self.score != -np.inf
        good = (self.index >= 0) & (self.index < continuations)
        good &= ~live | (np.isfinite(self.score) & np.isfinite(self.token_log_prob))
        wrong = ~good.all(axis=1)
        self.score[wrong] = np.nan
        self.index[wrong] = 0
        return False


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
