from __future__ import annotations

import pytest

from cxrscribe_bench.results.figures import (
    byte_size,
    duration,
    interval,
    milliseconds,
    percent,
    round_figure,
    significant,
    times,
)
from cxrscribe_bench.results.samples import Estimate


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.04213, "0.0421"),
        (1.0, "1.00"),
        (1.239, "1.24"),
        (12.35, "12.3"),
        (9.999, "10.0"),
        (999.6, "1,000"),
        (12_345.0, "12,300"),
        (-2.5, "-2.50"),
        (float("inf"), "inf"),
    ],
)
def test_three_digits_and_never_a_power_of_ten(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("text", "short"),
    [("0.500×", "0.5×"), ("10.0 ms", "10 ms"), ("1,000", "1,000"), ("1.05×", "1.05×"), ("100 MB", "100 MB")],
)
def test_round_figure_loses_needless_zeros_only(text: str, short: str) -> None:
    assert round_figure(text) == short


def test_units_fit_the_value() -> None:
    assert duration(1.1) == "1.10 s"
    assert duration(0.00913) == "9.13 ms"
    assert duration(5.43e-4) == "543 µs"
    assert duration(2e-8) == "20.0 ns"
    assert milliseconds(0.0918) == "91.8"
    assert byte_size(273e6) == "273 MB"
    assert byte_size(12) == "12.0 B"
    assert times(12.42) == "12.4×"
    assert percent(0.873) == "87.3 %"


def test_interval_says_when_one_sample_tells_nothing() -> None:
    assert interval(Estimate(2, 1.5, 2.5), times) == "1.50× to 2.50×"
    assert interval(Estimate(2, 2, 2)) == "no spread known"
