from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.diversity import diversity_figures

reports = st.lists(st.lists(st.sampled_from("abcd"), max_size=6).map(tuple), min_size=1, max_size=12)


def resamples_of(films: int) -> Resamples:
    return Resamples.draw([str(film) for film in range(films)], 40, 0)


@settings(deadline=None)
@given(reports)
def test_figures_are_those_of_plain_counting(written: list[Words]) -> None:
    figures = diversity_figures(written, resamples_of(len(written)))
    lengths = sorted(len(report) for report in written)
    assert figures["distinct_share"].value == pytest.approx(len(set(written)) / len(written))
    assert figures["words_used"].value == len({word for report in written for word in report})
    assert figures["length_mean"].value == pytest.approx(sum(lengths) / len(lengths))
    at_most = sum(length <= figures["length_p90"].value for length in lengths)
    below = sum(length < figures["length_p90"].value for length in lengths)
    assert below < 0.9 * len(lengths) <= at_most
    for figure in figures.values():
        assert figure.low <= figure.value <= figure.high


@settings(deadline=None)
@given(reports)
def test_every_resample_is_counted_like_the_films_it_draws(written: list[Words]) -> None:
    drawn = resamples_of(len(written))
    figures = diversity_figures(written, drawn)
    sets: dict[str, list[set[object]]] = {
        "distinct_share": [{report} for report in written],
        "words_used": [set(report) for report in written],
    }
    for name, of_film in sets.items():
        counted = np.array([_distinct(of_film, weights) for weights in drawn.weights], dtype=np.float64)
        if name == "distinct_share":
            counted /= len(written)
        shifted = counted + figures[name].value - counted.mean()
        expected = np.clip(shifted, 1 / len(written), 1) if name == "distinct_share" else shifted.clip(0)
        assert figures[name].resampled == pytest.approx(expected)


def _distinct(of_film: list[set[object]], weights: NDArray[np.float64]) -> int:
    drawn = [things for things, weight in zip(of_film, weights, strict=True) if weight]
    return len(set[object]().union(*drawn))


def test_reports_that_all_differ_have_an_interval_at_one() -> None:
    written = [(str(film),) for film in range(60)]
    figure = diversity_figures(written, resamples_of(60))["distinct_share"]
    assert figure.value == figure.high == 1.0
    assert figure.low > 0.8


def test_one_report_for_all_films() -> None:
    figures = diversity_figures([("a", "b")] * 10, resamples_of(10))
    assert figures["distinct_share"].value == pytest.approx(0.1)
    assert figures["words_used"].low == figures["words_used"].high == 2
