from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_bench.results.samples import median_ratio, percentile, ratio_of_medians

Seconds = st.floats(1e-6, 1e3)


@given(st.lists(Seconds, min_size=1, max_size=30), st.sampled_from([50, 90, 99]))
def test_percentile_is_numpys_and_lies_in_its_interval(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found.value == pytest.approx(np.percentile(values, percent))
    assert min(values) <= found.low <= found.high <= max(values)


def test_interval_narrows_with_more_samples_and_covers_the_truth() -> None:
    random = np.random.default_rng(3)
    few, many = random.lognormal(0, 0.2, 20), random.lognormal(0, 0.2, 2000)
    wide, narrow = percentile(few.tolist(), 50), percentile(many.tolist(), 50)
    assert narrow.high - narrow.low < (wide.high - wide.low) / 3
    assert narrow.low < 1.0 < narrow.high


def test_ratio_within_rounds_is_not_blurred_by_noise_that_hits_both() -> None:
    noise = np.random.default_rng(1).lognormal(0, 1.0, 15)
    paired = median_ratio((2 * noise).tolist(), noise.tolist())
    apart = ratio_of_medians((2 * noise).tolist(), noise[::-1].tolist())
    assert paired.value == paired.low == paired.high == pytest.approx(2.0)
    assert apart.high - apart.low > 0.5


def test_samples_of_other_rounds_have_no_ratio_within_rounds() -> None:
    with pytest.raises(ValueError, match="3 and 2 samples don't come from the same rounds"):
        median_ratio([1.0, 2.0, 3.0], [1.0, 2.0])
