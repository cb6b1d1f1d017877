"""The plain numpy search: exact beam search over a static batch, as a good engineer would write it first.

Vectorized over the batch, which is done when every image is. Only what the benchmark asks for: one beam
width, one max_length, no masks but the special tokens, length_penalty 0, the best result. It takes the same
steps as ours, with the same ties: it keeps to the rules of docs/decoding.md, n_best being 1.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, InputError
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import END, PAD, START, UNK
from cxrscribe_bench.systems.system import Words

Array = NDArray[np.float32]

_PARTS: Final = 8


class StepNetwork(Protocol):
    """A decoder, one word at a time. N is the number of images, R of hypothesis rows, L of layers."""

    def initial_state(self, features: Array) -> tuple[Array, Array]:
        """Features float32 [N, F] -> hidden and cell after the image, float32 [L, N, D] each."""
        ...

    def step(self, token: NDArray[np.int64], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
        """Token int64 [R], hidden and cell [L, R, D] -> log_probs float32 [R, V], hidden and cell after it.

        What it gives is the caller's, to change, until the next call.
        """
        ...


class PlainSearch:
    """Beam search over any step network, `batch_size` images at a time."""

    def __init__(self, network: StepNetwork, beam_width: int, max_length: int, batch_size: int) -> None:
        self._network = network
        self._width = beam_width
        self._max_length = max_length
        self._batch_size = batch_size

    def decode(self, features: Array) -> list[Words]:
        """Word ids of the best report of each row of `features` [N, F].

        Raises DecodingError where a search finds no report: the network forbids all words, or gives NaN.
        """
        batches = range(0, len(features), self._batch_size)
        return [
            words for start in batches for words in self._batch(features[start : start + self._batch_size])
        ]

    def _batch(self, features: Array) -> list[Words]:
        images, width = len(features), self._width
        hidden, cell = (state.repeat(width, axis=1) for state in self._network.initial_state(features))
        token = np.full(images * width, START)
        score = np.full((images, width), -np.inf, np.float32)
        score[:, 0] = 0
        # By step: each live hypothesis' rank in the step before, and its word.
        ranks: list[NDArray[np.int64]] = []
        words: list[NDArray[np.int64]] = []
        pool_score = np.full(images, -np.inf, np.float32)  # rule 7: of the best finished one
        pool_length = np.zeros(images, np.int64)  # its words before `<end>`
        pool_rank = np.zeros(images, np.int64)  # of what ended, among the live ones of its step
        done = np.zeros(images, np.bool_)
        first_row = np.arange(images)[:, None] * width
        for length in range(self._max_length):
            log_probs, hidden, cell = self._network.step(token, hidden, cell)
            log_probs[:, (PAD, START, UNK)] = -np.inf
            log_probs += score.reshape(-1, 1)
            top_score, top = best_of(log_probs.reshape(images, -1), 2 * width)  # [images, 2K]
            rank, word = np.divmod(top, log_probs.shape[1])
            ends = word == END

            (ending,) = (ends[:, :width].any(axis=1) & ~done).nonzero()
            if len(ending):
                place = ends[ending].argmax(axis=1)  # the first that ends is the best that does
                better = top_score[ending, place] > pool_score[ending]
                ending, place = ending[better], place[better]
                pool_score[ending] = top_score[ending, place]
                pool_length[ending], pool_rank[ending] = length, rank[ending, place]

            live = np.argsort(ends, axis=1, kind="stable")[:, :width]
            rank, word = (np.take_along_axis(each, live, axis=1) for each in (rank, word))
            score = np.take_along_axis(top_score, live, axis=1)
            ranks.append(rank)
            words.append(word)
            # Rule 9: nothing lives on, or nothing can beat what has finished. Both compare so.
            done |= score[:, 0] <= pool_score
            if done.all():
                break
            rows = (first_row + rank).reshape(-1)
            token, hidden, cell = word.reshape(-1), hidden.take(rows, axis=1), cell.take(rows, axis=1)

        unfinished = pool_score == -np.inf
        if not (score[unfinished, 0] > -np.inf).all():
            raise DecodingError("a search of the benchmark found no report; check the bundle's weights")
        pool_length[unfinished], pool_rank[unfinished] = len(words), 0
        best = zip(pool_length.tolist(), pool_rank.tolist(), strict=True)
        every_rank, every_word = np.array(ranks), np.array(words)  # [steps, images, K]
        return [
            _trace(every_rank[:length, image].tolist(), every_word[:length, image].tolist(), rank)
            for image, (length, rank) in enumerate(best)
        ]


def require_plain(settings: BeamSettings) -> None:
    """Raise InputError where `settings` ask for more than a beam width and a max_length."""
    if settings != BeamSettings(beam_width=settings.beam_width, max_length=settings.max_length):
        raise InputError(
            f"the peers of the benchmark know beam_width and max_length only, not {settings}; "
            "leave the other settings as they are"
        )


def best_of(scores: Array, count: int) -> tuple[Array, NDArray[np.int64]]:
    """The `count` best of each row, best first, and their places, both [N, count].

    `scores` is float32 [N, M], `count` at most M. Of equal ones, those at lower places first. Raises
    DecodingError where a row holds NaN.
    """
    rows, size = scores.shape
    # `count` of these are at least the bound, so no lesser number is among the best. For 32 rows of 5,000 all
    # of this takes 0.16 ms, where argpartition alone takes 1.2 ms.
    parts = _PARTS if size >= _PARTS * count else 1
    greatest = scores[:, : size // parts * parts].reshape(rows, parts, -1).max(axis=1)
    bound = np.partition(greatest, -count, axis=1)[:, -count, None]
    flat = np.flatnonzero(scores >= bound)
    row, place = np.divmod(flat, size)
    found = scores.reshape(-1)[flat]
    first = np.searchsorted(row, np.arange(rows + 1))
    if np.diff(first).min() < count:
        raise DecodingError("the network of a benchmark's peer gave NaN; check the bundle's weights")
    order = np.lexsort((-found, row))[first[:-1, None] + np.arange(count)]  # stable: [N, count]
    return found[order], place[order]


def _trace(ranks: list[list[int]], words: list[list[int]], rank: int) -> Words:
    """Follow a hypothesis back from its rank after the last of these steps: [steps][K]."""
    found: Words = []
    for rank_before, word in zip(reversed(ranks), reversed(words), strict=True):
        found.append(word[rank])
        rank = rank_before[rank]
    return found[::-1]
