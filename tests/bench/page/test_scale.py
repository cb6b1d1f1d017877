from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_bench.page.scale import Scale, ratio_scale, scale_from_zero, spread_scale

positive = st.floats(1e-9, 1e9)


@given(st.lists(positive, min_size=1, max_size=8))
def test_values_keep_their_order_and_lie_within_the_axis(values: list[float]) -> None:
    for scale in (ratio_scale(values), scale_from_zero(values), spread_scale(values)):
        places = [scale.place(value) for value in sorted(values)]
        assert places == sorted(places)
        assert places[0] >= 0
        assert places[-1] <= 1


@given(st.lists(positive, min_size=1, max_size=8))
def test_ticks_are_few_rise_and_lie_within_the_axis(values: list[float]) -> None:
    for scale in (ratio_scale(values), scale_from_zero(values), spread_scale(values, 1.2)):
        ticks = scale.ticks()
        assert len(ticks) <= 20
        assert list(ticks) == sorted(set(ticks))
        assert all(scale.low * (1 - 1e-6) <= tick <= scale.high * (1 + 1e-6) for tick in ticks)


@given(st.lists(positive, max_size=8))
def test_axis_of_ratios_has_one_on_it(values: list[float]) -> None:
    scale = ratio_scale(values)
    assert scale.low < 1 < scale.high


def test_logarithmic_axis_places_equal_ratios_equally_far() -> None:
    scale = Scale(1, 100, is_log=True)
    assert scale.place(10) == pytest.approx(0.5)
    assert scale.ticks() == (1, 2, 5, 10, 20, 50, 100)


def test_linear_axis_has_round_ticks() -> None:
    assert Scale(0, 87).ticks() == (0, 20, 40, 60, 80)


def test_values_outside_stand_at_the_ends() -> None:
    assert Scale(1, 2).place(5) == 1
    assert Scale(1, 2).place(-5) == 0


def test_narrow_values_are_spread_on_a_linear_axis_and_wide_ones_on_a_logarithmic() -> None:
    assert not spread_scale([10, 20]).is_log
    assert spread_scale([10, 2000]).is_log


@pytest.mark.parametrize(("low", "high", "is_log"), [(1, 1, False), (2, 1, False), (0, 1, True)])
def test_axis_without_extent_is_refused(low: float, high: float, is_log: bool) -> None:
    with pytest.raises(ValueError, match="can't go from"):
        Scale(low, high, is_log)
