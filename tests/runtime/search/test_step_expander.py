from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cxrscribe.search.expander import Frontier
from cxrscribe.search.step_expander import StepExpander, best_candidates
from support.small_models import SmallDecoder

# Few different values, so that ties are everywhere, and -inf among them.
LEVELS = st.sampled_from([0.0, -0.5, -1.0, -2.0, -np.inf])


def frontier_of(score: np.ndarray, words: int) -> Frontier:
    rows = np.zeros(score.size, np.int64)
    return Frontier(rows, rows, score, np.zeros((1, words), np.float32))


@given(st.data(), st.integers(1, 3), st.integers(1, 4), st.integers(5, 9))
def test_best_candidates_are_those_of_a_full_stable_sort(
    data: st.DataObject, images: int, places: int, words: int
) -> None:
    arrays = npst.arrays(np.float32, (images * places, words), elements=LEVELS)
    log_probs = data.draw(arrays)
    score = data.draw(npst.arrays(np.float32, (images, places), elements=LEVELS))
    found = best_candidates(log_probs, frontier_of(score, words))
    sums = (score.reshape(-1, 1) + log_probs).reshape(images, -1)
    expected = np.argsort(-sums, axis=1, kind="stable")[:, : 2 * places]
    np.testing.assert_array_equal(found.index, expected)
    np.testing.assert_array_equal(found.score, np.take_along_axis(sums, expected, axis=1))
    shares = np.take_along_axis(log_probs.reshape(images, -1), expected, axis=1)
    np.testing.assert_array_equal(found.token_log_prob, shares)
    assert found.score.dtype == np.float32


@given(st.data(), st.integers(2, 4), st.integers(1, 3), st.integers(5, 9))
def test_nan_is_told_of_its_image_and_changes_no_other(
    data: st.DataObject, images: int, places: int, words: int
) -> None:
    arrays = npst.arrays(np.float32, (images * places, words), elements=LEVELS)
    log_probs = data.draw(arrays)
    sick = log_probs.copy()
    row = data.draw(st.integers(0, images * places - 1))
    sick[row, data.draw(st.integers(0, words - 1))] = np.nan
    frontier = frontier_of(np.zeros((images, places), np.float32), words)
    healthy, found = best_candidates(log_probs, frontier), best_candidates(sick, frontier)
    assert not np.isnan(healthy.score).any()
    others = np.arange(images) != row // places
    assert np.isnan(found.score).tolist() == [[not other] * (2 * places) for other in others]
    np.testing.assert_array_equal(found.index[others], healthy.index[others])
    np.testing.assert_array_equal(found.score[others], healthy.score[others])


def test_nan_in_a_row_without_hypothesis_concerns_nobody() -> None:
    model = SmallDecoder.random(seed=0, words=6)
    expander = StepExpander(model)
    expander.enqueue(np.array([[1, 1, 1], [np.nan, 1, 1]], np.float32))
    expander.admit(2)
    score = np.array([[0.0], [-np.inf]], np.float32)
    frontier = Frontier(np.ones(2, np.int64), np.arange(2), score, np.zeros((1, 6), np.float32))
    assert not np.isnan(expander.expand(frontier).score).any()
    assert expander.rows == 1
