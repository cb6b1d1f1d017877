"""Word sequences under search, many images at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.vocabulary import END


@dataclass(frozen=True)
class Hypotheses:
    """J places for hypotheses in each of A images; a place whose log_prob is -inf is empty.

    T is the most tokens that any of them can get. Arrays in here are never written to again.
    """

    tokens: NDArray[np.int64]
    """[A, J, T]: words, then `<end>` where it is finished, then zeros."""
    token_log_probs: NDArray[np.float32]
    """[A, J, T]: natural log-probability of each token, then zeros."""
    log_prob: NDArray[np.float32]
    """[A, J]: their sum, added one after the other in float32."""
    length: NDArray[np.int64]
    """[A, J]: tokens, `<end>` included."""

    @classmethod
    def empty(cls, images: int, places: int, max_length: int) -> Hypotheses:
        """Places without any hypothesis."""
        return cls(
            tokens=np.zeros((images, places, max_length), np.int64),
            token_log_probs=np.zeros((images, places, max_length), np.float32),
            log_prob=np.full((images, places), -np.inf, np.float32),
            length=np.zeros((images, places), np.int64),
        )

    @classmethod
    def roots(cls, images: int, places: int, max_length: int) -> Hypotheses:
        """One hypothesis without words in each image, at place 0: log_prob 0."""
        hypotheses = cls.empty(images, places, max_length)
        hypotheses.log_prob[:, 0] = 0.0
        return hypotheses

    @property
    def exists(self) -> NDArray[np.bool_]:
        """[A, J]: which places hold a hypothesis."""
        return self.log_prob > -np.inf

    @property
    def finished(self) -> NDArray[np.bool_]:
        """[A, J]: which hypotheses end with `<end>`."""
        last = np.maximum(self.length - 1, 0)[:, :, None]
        ends: NDArray[np.bool_] = np.take_along_axis(self.tokens, last, axis=2)[:, :, 0] == END
        return ends & self.exists

    def images(self, which: NDArray[np.intp]) -> Hypotheses:
        """The hypotheses of these images only, in this order."""
        return Hypotheses(
            self.tokens[which], self.token_log_probs[which], self.log_prob[which], self.length[which]
        )

    def take(self, places: NDArray[np.intp]) -> Hypotheses:
        """Rearrange the places of each image. `places`: [A, J'], a place may be named more than once."""
        deep = places[:, :, None]
        return Hypotheses(
            np.take_along_axis(self.tokens, deep, axis=1),
            np.take_along_axis(self.token_log_probs, deep, axis=1),
            np.take_along_axis(self.log_prob, places, axis=1),
            np.take_along_axis(self.length, places, axis=1),
        )

    def keep(self, which: NDArray[np.bool_]) -> Hypotheses:
        """Empty every place but these. `which`: [A, J] or [A, 1]."""
        log_prob = np.where(which, self.log_prob, np.float32(-np.inf))
        return Hypotheses(self.tokens, self.token_log_probs, log_prob, self.length)

    def beside(self, others: Hypotheses) -> Hypotheses:
        """These places and then the others', in each image."""
        return Hypotheses(
            np.concatenate((self.tokens, others.tokens), axis=1),
            np.concatenate((self.token_log_probs, others.token_log_probs), axis=1),
            np.concatenate((self.log_prob, others.log_prob), axis=1),
            np.concatenate((self.length, others.length), axis=1),
        )

    def children(
        self,
        parents: NDArray[np.intp],
        words: NDArray[np.int64],
        token_log_probs: NDArray[np.float32],
        log_prob: NDArray[np.float32],
    ) -> Hypotheses:
        """Copy the parents and append one token to each; all arguments [A, J'].

        Parents of one call have the same length, for a search appends one token to all of them at each step.
        """
        children = self.take(parents)
        position = int(self.length.max(initial=0))
        children.tokens[:, :, position] = words
        children.token_log_probs[:, :, position] = token_log_probs
        length = np.full_like(children.length, position + 1)
        return Hypotheses(children.tokens, children.token_log_probs, log_prob, length)
