"""How much a column's reports differ, how many words they use, and how long they are."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.bootstrap import Figure, Resamples, Statistic, Weights, weighted_mean

PERCENTILE = 0.9


def diversity_figures(reports: Sequence[Words], resamples: Resamples) -> dict[str, Figure]:
    """`distinct_share`, `words_used`, `length_mean` and `length_p90`, the lengths in words."""
    films = len(reports)
    by_text = _occurrence([[report] for report in reports])
    by_word = _occurrence([set(report) for report in reports])
    lengths = np.array([len(report) for report in reports], dtype=np.float64)
    distinct, used = _distinct(by_text), _distinct(by_word)
    return {
        "distinct_share": resamples.centred_figure(
            lambda weights: distinct(weights) / weights.sum(axis=1), 1 / films, 1.0
        ),
        "words_used": resamples.centred_figure(used, 0.0, float("inf")),
        "length_mean": resamples.figure(weighted_mean(lengths)),
        "length_p90": resamples.figure(_quantile(lengths, PERCENTILE)),
    }


def _occurrence(things: Sequence[Sequence[Hashable] | set[str]]) -> NDArray[np.float32]:
    """[N, T]: 1 where film n has thing t."""
    places: dict[Hashable, int] = {}
    for of_film in things:
        for thing in sorted(of_film, key=str):
            places.setdefault(thing, len(places))
    occurrence = np.zeros((len(things), max(1, len(places))), dtype=np.float32)
    for film, of_film in enumerate(things):
        for thing in of_film:
            occurrence[film, places[thing]] = 1
    return occurrence


def _distinct(occurrence: NDArray[np.float32]) -> Statistic:
    """How many things at least one drawn film has."""

    def measure(weights: Weights) -> NDArray[np.float64]:
        drawn = (weights > 0).astype(np.float32)
        return ((drawn @ occurrence) > 0).sum(axis=1).astype(np.float64)

    return measure


def _quantile(values: NDArray[np.float64], share: float) -> Statistic:
    """The smallest value that at least `share` of the drawn films don't exceed."""
    order = np.argsort(values, kind="stable")

    def measure(weights: Weights) -> NDArray[np.float64]:
        reached = np.cumsum(weights[:, order], axis=1)
        first = np.argmax(reached >= share * reached[:, -1:], axis=1)
        return np.asarray(values[order][first], dtype=np.float64)

    return measure
