"""How much a column's reports differ, how many words they use, and how long they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.bootstrap import Figure, Resamples, Statistic, Weights, weighted_mean

PERCENTILE = 0.9


def diversity_figures(reports: Sequence[Words], resamples: Resamples) -> dict[str, Figure]:
    """`distinct_share`, `words_used`, `length_mean` and `length_p90`, the lengths in words."""
    films = len(reports)
    lengths = np.array([len(report) for report in reports], dtype=np.float64)
    distinct, used = _distinct_texts(reports), _distinct_words([set(report) for report in reports])
    return {
        "distinct_share": resamples.centred_figure(
            lambda weights: distinct(weights) / weights.sum(axis=1), 1 / films, 1.0
        ),
        "words_used": resamples.centred_figure(used, 0.0, float("inf")),
        "length_mean": resamples.figure(weighted_mean(lengths)),
        "length_p90": resamples.figure(_quantile(lengths, PERCENTILE)),
    }


def _distinct_texts(reports: Sequence[Words]) -> Statistic:
    """How many different reports the drawn films have. Linear: almost every film can have its own."""
    numbers: dict[Words, int] = {}
    text_of_film = np.array([numbers.setdefault(report, len(numbers)) for report in reports])
    films = np.argsort(text_of_film, kind="stable")  # those with the same text stand together
    starts = np.searchsorted(text_of_film[films], np.arange(len(numbers)))

    def measure(weights: Weights) -> NDArray[np.float64]:
        drawn = (weights > 0)[:, films]
        return np.maximum.reduceat(drawn, starts, axis=1).sum(axis=1).astype(np.float64)

    return measure


def _distinct_words(words_of_film: Sequence[set[str]]) -> Statistic:
    """How many words at least one drawn film has."""
    places: dict[str, int] = {}
    for words in words_of_film:
        for word in sorted(words):
            places.setdefault(word, len(places))
    occurrence = np.zeros((len(words_of_film), max(1, len(places))), dtype=np.float32)
    for film, words in enumerate(words_of_film):
        for word in words:
            occurrence[film, places[word]] = 1

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
