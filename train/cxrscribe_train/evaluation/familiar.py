"""How many references a model can have learned word for word: splits differ in that, and BLEU follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cxrscribe_train.evaluation.metrics.bleu import ORDERS, BleuCounts, Words


@dataclass(frozen=True)
class Parts:
    """A figure of both parts of the films: NaN where a part is empty."""

    familiar: float
    others: float


@dataclass(frozen=True)
class Familiarity:
    """The films whose reference is, word for word, a report of the training split, and the others."""

    films: int
    """Those whose reference is."""
    of: int
    """All films."""
    bleu_4: Mapping[str, Parts]
    """Of each column of reports."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values; null for what an empty part has."""
        return {
            "films": self.films,
            "share": self.films / self.of,
            "bleu_4": {
                column: {
                    "familiar": _or_none(parts.familiar),
                    "others": _or_none(parts.others),
                }
                for column, parts in self.bleu_4.items()
            },
        }


def familiarity(
    references: Sequence[Words], training: Iterable[Words], columns: Mapping[str, Sequence[Words]]
) -> Familiarity:
    """Part the films by whether training has their reference, and score each part.

    Args:
        references: one a film, at least one, as scores count words.
        training: the reports of the training split, likewise.
        columns: reports, one a film.
    """
    known = frozenset(training)
    familiar = np.array([reference in known for reference in references])
    parts = np.stack([familiar, ~familiar]).astype(np.float64)  # [2, N]
    scores = {}
    for column, reports in columns.items():
        both = BleuCounts.of(reports, references).statistic(ORDERS)(parts)
        scores[column] = Parts(*np.where(parts.any(axis=1), both, np.nan).tolist())
    return Familiarity(int(familiar.sum()), len(references), scores)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
