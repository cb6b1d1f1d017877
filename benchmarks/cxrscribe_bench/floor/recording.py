"""The rows that a search really computes: how many in each call of the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.search.decoding import search_in_order
from cxrscribe.search.expander import Candidates, Decoder, Expander, Frontier
from cxrscribe.search.requests import RequestSource
from cxrscribe.search.scheduler import Scheduler
from cxrscribe.vocabulary import Vocabulary


@dataclass(frozen=True)
class SearchRows:
    """Rows of each call of the network, in order."""

    steps: tuple[int, ...]
    """Hypothesis rows of each step."""
    initial: tuple[int, ...]
    """Images of each call for initial states."""


class RecordingExpander:
    """An Expander that notes the rows of each call of the network."""

    def __init__(self, expander: Expander) -> None:
        self._expander = expander
        self.steps: list[int] = []
        self.initial: list[int] = []

    @property
    def rows(self) -> int:
        return self._expander.rows

    @property
    def seconds(self) -> float:
        return self._expander.seconds

    def enqueue(self, features: NDArray[np.float32]) -> None:
        self.initial.append(len(features))
        self._expander.enqueue(features)

    def admit(self, count: int) -> None:
        self._expander.admit(count)

    def expand(self, frontier: Frontier) -> Candidates:
        candidates = self._expander.expand(frontier)
        self.steps.append(self._expander.rows)
        return candidates

    def clear(self) -> None:
        self._expander.clear()


def recorded_rows(decoder: Decoder, vocabulary: Vocabulary, source: RequestSource, slots: int) -> SearchRows:
    """Search for all images of `source`, `slots` at a time; gives the rows that this took."""
    expander = RecordingExpander(decoder.expander(0))
    for _ in search_in_order(Scheduler(expander, vocabulary, slots, one_width=False), source):
        pass
    return SearchRows(tuple(expander.steps), tuple(expander.initial))
