from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe_train.evaluation.metrics.bootstrap import Figure, Resamples, weighted_mean


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_interval_contains_its_value(scores: list[float], seed: int) -> None:
    resamples = Resamples.draw([f"S{film}" for film in range(len(scores))], 50, seed)
    figure = resamples.figure(weighted_mean(np.array(scores)))
    assert figure.value == pytest.approx(np.mean(scores))
    assert figure.low <= figure.value <= figure.high


def test_interval_shrinks_with_more_films() -> None:
    widths = []
    for films in (50, 800):
        scores = np.random.default_rng(films).normal(size=films)
        figure = Resamples.draw([str(film) for film in range(films)], 1000, 0).figure(weighted_mean(scores))
        widths.append(figure.high - figure.low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)


def test_interval_of_a_mean_is_that_of_the_textbook() -> None:
    scores = np.random.default_rng(3).normal(size=400)
    figure = Resamples.draw([str(film) for film in range(400)], 4000, 0).figure(weighted_mean(scores))
    error = scores.std() / 20
    assert figure.low == pytest.approx(scores.mean() - 1.96 * error, abs=0.2 * error)
    assert figure.high == pytest.approx(scores.mean() + 1.96 * error, abs=0.2 * error)


def test_films_of_one_study_are_drawn_together() -> None:
    weights = Resamples.draw(["S1", "S1", "S2", "S3", "S3"], 200, 0).weights
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 4]).all()
    assert (weights[:, 0] + weights[:, 2] + weights[:, 3] == 3).all()


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = np.arange(20.0)
    first, again, other = (
        Resamples.draw([str(film) for film in range(20)], 100, seed).figure(weighted_mean(scores))
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_without_resamples_the_interval_is_the_value() -> None:
    figure = Resamples.draw(["S1", "S2"], 0, 0).figure(weighted_mean(np.array([1.0, 2.0])))
    assert figure == Figure(1.5, 1.5, 1.5)


def test_undefined_resamples_are_left_out() -> None:
    assert Figure.of(0.5, np.array([np.nan, 0.4, 0.6, np.nan])) == Figure(
        0.5, pytest.approx(0.405), pytest.approx(0.595)
    )


def test_centred_interval_is_about_the_value_and_within_the_limits() -> None:
    resamples = Resamples.draw([str(film) for film in range(40)], 500, 0)
    figure = resamples.centred_figure(lambda weights: (weights > 0).mean(axis=1), 0.0, 1.0)
    assert figure.value == 1.0
    assert 0.85 < figure.low < 1.0
    assert figure.high == 1.0
