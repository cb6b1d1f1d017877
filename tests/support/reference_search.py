"""Beam search for one image in plain Python, written from the rules of docs/decoding.md and nothing else.

It is slow and obvious: hypotheses are objects in lists, and every rule is a line. Its pool keeps everything,
so that the runtime's smaller one, and its stopping, are proven to change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PAD, START, END, UNK = 0, 1, 2, 3

NextLogProbs = Callable[[tuple[int, ...]], Sequence[np.float32]]
"""From the words so far to the log-probability of each next word."""


@dataclass
class Found:
    words: tuple[int, ...]
    token_log_probs: tuple[np.float32, ...]
    log_prob: np.float32
    finished: bool
    score: float = math.nan

    @property
    def length(self) -> int:
        return len(self.words) + self.finished


@dataclass
class Search:
    """The settings of one image's search, with banned words as ids."""

    beam_width: int
    max_length: int
    min_length: int = 0
    length_penalty: float = 0.0
    n_best: int = 1
    no_repeat_ngram: int = 0
    banned: frozenset[int] = frozenset()
    steps: int = 0
    """How many the last run took."""

    def run(self, next_log_probs: NextLogProbs, stop_early: bool = True) -> list[Found]:
        """The n_best best, best first; `stop_early=False` stops only where rule 9 says "in any case"."""
        live = [Found((), (), np.float32(0), finished=False)]  # rule 4
        pool: list[Found] = []
        for step in range(1, self.max_length + 1):
            self.steps = step
            candidates = self._candidates(live, next_log_probs)
            live = []
            for place, candidate in enumerate(candidates):  # rule 6
                if candidate.finished:
                    if place < self.beam_width:
                        pool.append(candidate)
                elif len(live) < self.beam_width:
                    live.append(candidate)
            pool.sort(key=lambda found: -found.score)  # rule 7; stable: of equals, the earlier finished first
            if not live or (stop_early and self._hopeless(live, pool, step)):
                live = []
                break
        for found in live:  # rule 10
            found.score = self._score(found.log_prob, found.length)
        live.sort(key=lambda found: -found.score)
        return (pool + live)[: self.n_best]  # rule 11

    def _candidates(self, live: list[Found], next_log_probs: NextLogProbs) -> list[Found]:
        """Rule 5."""
        indexed: list[tuple[float, int, Found]] = []
        for rank, parent in enumerate(live):
            log_probs = next_log_probs(parent.words)
            for word, token_log_prob in enumerate(log_probs):
                if self.forbids(parent.words, word) or token_log_prob == -np.inf:
                    continue
                log_prob = np.float32(parent.log_prob + token_log_prob)
                if log_prob == -np.inf:
                    continue
                ends = word == END
                child = Found(
                    parent.words if ends else (*parent.words, word),
                    (*parent.token_log_probs, token_log_prob),
                    log_prob,
                    finished=ends,
                )
                if ends:
                    child.score = self._score(child.log_prob, child.length)
                indexed.append((-float(log_prob), rank * len(log_probs) + word, child))
        indexed.sort(key=lambda entry: entry[:2])
        return [child for _, _, child in indexed[: 2 * self.beam_width]]

    def forbids(self, words: tuple[int, ...], word: int) -> bool:
        """Rule 3."""
        if word in (PAD, START, UNK) or word in self.banned:
            return True
        if word == END:
            return len(words) < self.min_length
        n = self.no_repeat_ngram
        if n == 0 or len(words) + 1 < n:
            return False
        gram = (*words, word)[-n:]
        return any(words[i : i + n] == gram for i in range(len(words) - n + 1))

    def _hopeless(self, live: list[Found], pool: list[Found], step: int) -> bool:
        """Rules 8 and 9."""
        if len(pool) < self.n_best:
            return False
        length = self.max_length if self.length_penalty > 0 else step + 1
        return all(self._score(found.log_prob, length) <= pool[self.n_best - 1].score for found in live)

    def _score(self, log_prob: np.float32, length: int) -> float:
        """Rule 2."""
        return float(log_prob) / float(length) ** self.length_penalty
