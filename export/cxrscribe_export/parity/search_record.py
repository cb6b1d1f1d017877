"""Every decision of one beam search, and the first one in which two searches part."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]


@dataclass
class StepRecord:
    """What one step of a search saw and chose."""

    totals: dict[Tokens, NDArray[np.float32]]
    """Live hypothesis to the log_prob of it and each next word, float32 [V]."""
    candidates: list[tuple[Tokens, int]]
    """The chosen (hypothesis, next word), best first."""
    scores: dict[Tokens, float] = field(default_factory=dict)
    """Finished hypothesis to score: those kept before, and those of this step."""
    pool: list[Tokens] = field(default_factory=list)
    """The finished hypotheses that were kept, best first."""


@dataclass
class SearchRecord:
    """The steps of one search, in order. A search fills it."""

    steps: list[StepRecord] = field(default_factory=list)

    def add_step(
        self,
        parents: Sequence[Tokens],
        totals: Sequence[NDArray[np.float32]],
        candidates: Sequence[tuple[int, int]],
    ) -> None:
        """Begin a step.

        Args:
            parents: the live hypotheses in rank order.
            totals: for each, the log_prob of it and each next word, float32 [V].
            candidates: the chosen (rank, word), best first.
        """
        chosen = [(parents[rank], word) for rank, word in candidates]
        self.steps.append(StepRecord(dict(zip(parents, totals, strict=True)), chosen))

    def add_finished(self, scores: Mapping[Tokens, float]) -> None:
        """Note the scores of all finished hypotheses among which this step's pool is chosen."""
        self.steps[-1].scores = dict(scores)

    def set_pool(self, pool: Sequence[Tokens]) -> None:
        """Note the finished hypotheses that were kept, best first."""
        self.steps[-1].pool = list(pool)


@dataclass(frozen=True)
class Parting:
    """The first decision in which a search differs from the reference."""

    step: int
    """From 0."""
    margin: float
    """How far apart the two choices are in the reference; infinite where it had only one of them."""


def parting(reference: SearchRecord, other: SearchRecord) -> Parting | None:
    """The first decision in which `other` differs from `reference`, or None if they never do.

    A search that merely stops earlier doesn't differ: stopping changes no result.
    """
    for place, (step, other_step) in enumerate(zip(reference.steps, other.steps, strict=False)):
        for chosen, other_chosen in zip_longest(step.candidates, other_step.candidates):
            if chosen != other_chosen:
                return Parting(place, abs(_total(step, chosen) - _total(step, other_chosen)))
        for kept, other_kept in zip_longest(step.pool, other_step.pool):
            if kept != other_kept:
                return Parting(place, abs(_score(step, kept) - _score(step, other_kept)))
    return None


def _total(step: StepRecord, candidate: tuple[Tokens, int] | None) -> float:
    if candidate is None:
        return math.inf
    hypothesis, word = candidate
    return float(step.totals[hypothesis][word])


def _score(step: StepRecord, tokens: Tokens | None) -> float:
    return math.inf if tokens is None else step.scores.get(tokens, math.inf)
