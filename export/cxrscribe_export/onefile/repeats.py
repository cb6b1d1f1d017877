"""`no_repeat_ngram` inside the loop: no run of n words twice in a hypothesis.

Each row carries its words so far, newest last, and for each of them how many words up to it are those that
the hypothesis ends with: one more than for the word before it in the step before, if it is the newest word
again, else none. A word that follows n - 1 such words would complete a run that is there already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxrscribe.vocabulary import PAD
from cxrscribe_export.graphs.graph_builder import GraphBuilder


@dataclass(frozen=True)
class Repeats:
    """Names outside the loop. R rows, T the most steps."""

    ngram: int
    """n, at least 1."""
    first_history: str
    """int64 [R, T + 1], of places before the first word: `<pad>`, which no hypothesis has."""
    first_run: str
    """int64 [R, T], of no equal words."""
    forbidden: str
    """float32 [R, T] of -inf."""
    all_rows: str
    """int64 [2]: R, and 1 for what has as many columns as it has."""

    @classmethod
    def add(cls, graph: GraphBuilder, ngram: int, max_length: str, rows: str) -> Repeats:
        """Add what a step starts from. `max_length`: int64 scalar T; `rows`: int64 [1], R."""
        length = graph.node("Reshape", max_length, graph.constant(np.array([1])))
        one = graph.constant(np.array([1]))
        table = graph.node("Concat", rows, length, axis=0)
        longer = graph.node("Concat", rows, graph.node("Add", length, one), axis=0)
        nothing = graph.constant(np.array(PAD))
        return cls(
            ngram,
            graph.node("Expand", nothing, longer),
            graph.node("Expand", graph.constant(np.array(0)), table),
            graph.node("Expand", graph.constant(np.float32(-np.inf)), table),
            graph.node("Concat", rows, one, axis=0),
        )

    def forbid(
        self, body: GraphBuilder, bias: str, token: str, parent: str, history: str, run: str
    ) -> tuple[str, str, str]:
        """Add -inf to `bias` float32 [1, V] where a word would repeat a run.

        `token`, `parent` int64 [R]: the newest word, and the row before of the words that it follows. Gives
        the bias [R, V], and the next history and run.
        """
        columns = body.constant(np.array([1]))
        begin, second, end = (body.constant(np.array([place])) for place in (0, 1, np.iinfo(np.int64).max))
        newest = body.node("Unsqueeze", token, columns)  # [R, 1]
        past = body.node("Gather", history, parent, axis=0)
        next_history = body.node("Concat", body.node("Slice", past, second, end, columns), newest, axis=1)
        earlier = body.node("Slice", next_history, begin, body.constant(np.array([-1])), columns)  # [R, T]
        following = body.node("Slice", next_history, second, end, columns)
        longer = body.node("Add", body.node("Gather", run, parent, axis=0), columns)
        next_run = body.node("Where", body.node("Equal", earlier, newest), longer, body.constant(np.array(0)))
        repeats = body.node("GreaterOrEqual", next_run, body.constant(np.array(self.ngram - 1)))
        # Where nothing is repeated, `<pad>` is forbidden once more.
        words = body.node("Where", repeats, following, body.constant(np.array(PAD)))
        rows = body.node("Expand", bias, self.all_rows)
        return body.node("ScatterElements", rows, words, self.forbidden, axis=1), next_history, next_run
