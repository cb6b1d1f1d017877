"""Exact beam search: the bookkeeping over a whole batch, as numpy arrays.

Nothing here runs a network. A search says which rows to expand (`frontier`), somebody expands them, and the
search takes the best candidates back (`advance`), until no image is left. A is the number of images still
searched for, K the batch's largest beam width, V the number of words, M the candidates an image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.constraints import Constraints
from cxrscribe.hypotheses import Hypotheses
from cxrscribe.vocabulary import END, START


@dataclass(frozen=True)
class Frontier:
    """The rows to expand next: K places an image, in rank order. Unused places have score -inf."""

    token: NDArray[np.int64]
    """[A * K]: the word that each row got last."""
    parent: NDArray[np.int64]
    """[A * K]: the row of the frontier before this one that its state comes from; at first, the image."""
    score: NDArray[np.float32]
    """[A, K]: log_prob so far."""
    bias: NDArray[np.float32]
    """[1, V] or [A * K, V]: -inf where a word is forbidden, else 0."""


@dataclass(frozen=True)
class Candidates:
    """The best continuations of each image, best first; equal ones by lower index. Score -inf is none."""

    score: NDArray[np.float32]
    """[A, M]: log_prob with the new token."""
    index: NDArray[np.int64]
    """[A, M]: rank of the parent in its image * V + word."""
    token_log_prob: NDArray[np.float32]
    """[A, M]: the new token's share."""
    has_nan: NDArray[np.bool_]
    """[A]: for which the network gave NaN. Their search can't go on and ends with nothing."""


@dataclass(frozen=True)
class Results:
    """Images whose search is over."""

    image: NDArray[np.intp]
    """[F]: their numbers in the batch."""
    hypotheses: Hypotheses
    """[F, K], best first."""
    score: NDArray[np.float64]
    """[F, K]: by which they are ranked, unfinished ones after all finished ones."""
    has_nan: NDArray[np.bool_]
    """[F]: whose search ended because the network gave NaN."""


class BeamSearch:
    """One batch of searches. `constraints` says how many images there are, and what each may produce."""

    def __init__(self, constraints: Constraints, vocabulary_size: int) -> None:
        images = len(constraints.beam_width)
        self._vocabulary_size = vocabulary_size
        self._places = int(constraints.beam_width.max(initial=1))
        longest = constraints.divisor.shape[1] - 1
        self._constraints = constraints
        self._image = np.arange(images)
        self._live = Hypotheses.roots(images, self._places, longest)
        self._pool = Hypotheses.empty(images, self._places, longest)
        self._parent = np.repeat(np.arange(images, dtype=np.int64), self._places)
        self._steps = 0

    @property
    def images(self) -> int:
        """A: how many images are still searched for."""
        return len(self._image)

    def frontier(self) -> Frontier:
        """What to expand next."""
        words = self._live.tokens[:, :, : self._steps]  # [A, K, t]
        last = words[:, :, -1] if self._steps else np.full((self.images, self._places), START, np.int64)
        return Frontier(last.reshape(-1), self._parent, self._live.log_prob, self._constraints.bias(words))

    def advance(self, candidates: Candidates) -> Results:
        """Take the best candidates of the frontier, M = min(2K, K * V) an image; give the images that end.

        An image with a narrower beam than K has fewer live rows. Its own first 2 * beam_width candidates hold
        all that it can use: each row has but one `<end>`, so at least beam_width of them are not `<end>`.
        """
        width = self._constraints.beam_width[:, None]
        rank = np.arange(candidates.score.shape[1])
        parent, word = np.divmod(candidates.index, self._vocabulary_size)
        children = self._live.children(parent, word, candidates.token_log_prob, candidates.score)
        finishes = children.exists & (word == END) & (rank < width)
        continues = children.exists & (word != END)
        continues &= np.cumsum(continues, axis=1) <= width

        self._steps += 1
        if finishes.any():
            self._pool = self._best(self._pool.beside(children.keep(finishes)))
        places = np.argsort(~continues, axis=1, kind="stable")[:, : self._places]
        self._live = children.keep(continues).take(places)
        origin = np.arange(self.images)[:, None] * self._places + np.take_along_axis(parent, places, axis=1)
        # Unused places name row 0, which always exists.
        self._parent = np.where(self._live.exists, origin, 0).reshape(-1)
        return self._release(self._ended() | candidates.has_nan, candidates.has_nan)

    def _best(self, hypotheses: Hypotheses) -> Hypotheses:
        """The K best by score; of equal ones, those that stand first."""
        score = self._constraints.score(hypotheses.log_prob, hypotheses.length)
        return self._first(hypotheses.take(np.argsort(-score, axis=1, kind="stable")[:, : self._places]))

    def _first(self, hypotheses: Hypotheses) -> Hypotheses:
        """Each image's own first beam_width places."""
        return hypotheses.keep(np.arange(self._places) < self._constraints.beam_width[:, None])

    def _ended(self) -> NDArray[np.bool_]:
        """[A]: whose search is over (design: nothing live, nothing better to come, or out of steps)."""
        limits = self._constraints
        no_length = np.minimum(self._steps + 1, limits.max_length)
        favourable = np.where(limits.favours_length, limits.max_length, no_length)[:, None]
        reachable = limits.score(self._live.log_prob[:, :1], favourable)[:, 0]
        worst = np.take_along_axis(self._pool.log_prob, limits.beam_width[:, None] - 1, axis=1)
        worst_length = np.take_along_axis(self._pool.length, limits.beam_width[:, None] - 1, axis=1)
        full = worst[:, 0] > -np.inf
        hopeless = full & (reachable <= limits.score(worst, worst_length)[:, 0])
        return ~self._live.exists[:, 0] | hopeless | (self._steps >= limits.max_length)

    def _release(self, ended: NDArray[np.bool_], has_nan: NDArray[np.bool_]) -> Results:
        """Take the images that ended out of all arrays."""
        if not ended.any():
            none = np.arange(0)
            return Results(none, self._pool.images(none), np.zeros((0, self._places)), has_nan[none])
        gone, kept = np.flatnonzero(ended), np.flatnonzero(~ended)
        results = self._results(gone, has_nan[gone])
        self._image = self._image[kept]
        self._live, self._pool = self._live.images(kept), self._pool.images(kept)
        self._parent = self._parent.reshape(-1, self._places)[kept].reshape(-1)
        self._constraints = self._constraints.images(kept)
        return results

    def _results(self, gone: NDArray[np.intp], has_nan: NDArray[np.bool_]) -> Results:
        limits = self._constraints.images(gone)
        out_of_steps = (self._steps >= limits.max_length)[:, None]
        unfinished = self._live.images(gone).keep(out_of_steps)
        both = self._pool.images(gone).beside(unfinished).keep(~has_nan[:, None])
        places = np.argsort(~both.exists, axis=1, kind="stable")[:, : self._places]
        ranked = both.take(places).keep(np.arange(self._places) < limits.beam_width[:, None])
        return Results(self._image[gone], ranked, limits.score(ranked.log_prob, ranked.length), has_nan)
