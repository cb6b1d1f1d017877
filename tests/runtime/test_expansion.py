from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from cxrscribe.beam import Frontier
from cxrscribe.errors import DecodingError
from cxrscribe.expansion import StepExpander, best_candidates
from cxrscribe.stats import DecodingStats
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


def test_nan_from_the_network_is_an_error_and_not_a_word() -> None:
    model = SmallDecoder.random(seed=0, words=6)
    model.output[:, 4] = np.nan
    expander = StepExpander(model, np.ones((1, 3), np.float32))
    with pytest.raises(DecodingError, match="NaN"):
        expander.expand(frontier_of(np.zeros((1, 1), np.float32), 6), DecodingStats())
