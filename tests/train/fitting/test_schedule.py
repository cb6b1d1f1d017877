from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.fitting.config import FitConfig
from cxrscribe_train.fitting.schedule import WarmUpCosine


def test_it_rises_then_falls_to_the_final_rate() -> None:
    schedule = WarmUpCosine.of(
        FitConfig(warmup_steps=10, learning_rate=1e-2, final_learning_rate=1e-4), steps=100
    )
    shares = [schedule(step) for step in range(101)]
    assert all(shares[step] < shares[step + 1] for step in range(10))
    assert all(shares[step] > shares[step + 1] for step in range(10, 100))
    assert shares[10] == 1.0
    assert shares[100] == pytest.approx(0.01)


@given(st.integers(1, 50), st.integers(0, 100))
def test_every_share_lies_above_zero_and_at_most_at_one(steps: int, warmup: int) -> None:
    schedule = WarmUpCosine.of(FitConfig(warmup_steps=warmup), steps)
    assert all(0 < schedule(step) <= 1 for step in range(steps))


def test_a_final_rate_above_the_highest_keeps_the_rate_constant() -> None:
    schedule = WarmUpCosine.of(
        FitConfig(warmup_steps=0, learning_rate=1e-3, final_learning_rate=1.0), steps=5
    )
    assert [schedule(step) for step in range(5)] == [1.0] * 5
