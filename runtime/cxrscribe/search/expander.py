"""What a search asks of whoever expands its rows, and what they give each other: rows out, candidates back.

A is the number of images that are searched for, K the largest beam width among them, V the number of words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


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
    """Makes expanders, each with a state of its own."""

    def expander(self, padded_images: int) -> Expander:
        """A new one. `padded_images`: compute the rows of at least so many images, used or not."""
