"""Grey levels of 16-bit samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.films.levels import look_up, show_16_bit

pytestmark = pytest.mark.arm64


@settings(deadline=None)  # a busy machine is no failure
@given(st.integers(0, 65535))
def test_the_full_range_is_scaled_to_the_nearest_level(value: int) -> None:
    picture = show_16_bit(np.array([[value]], np.uint16), "full")
    assert abs(int(picture.pixels[0, 0]) * 257 - value) <= 128
    assert picture.display == "full range"


@settings(deadline=None)
@given(st.lists(st.integers(0, 65535), min_size=2, max_size=40, unique=True))
def test_the_used_range_goes_from_black_to_white(values: list[int]) -> None:
    picture = show_16_bit(np.array([values], np.uint16), "used")
    least, largest = min(values), max(values)
    expected = [(value - least) / (largest - least) * 255 for value in values]
    assert np.abs(picture.pixels[0] - np.array(expected)).max() <= 0.5
    assert picture.display == f"range {least} {largest}"


def test_what_is_transparent_counts_for_no_range() -> None:
    values = np.array([[0, 1000, 1500, 2000, 60000]], np.uint16)
    shown = show_16_bit(values, "used", transparent=60000)
    assert shown.pixels.tolist() == [[0, 128, 191, 255, 0]]
    assert show_16_bit(np.full((2, 2), 7, np.uint16), "used", transparent=7).pixels.tolist() == [[0, 0]] * 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 70_000), (70_000, 3), (300, 301)])
def test_looking_up_in_strips_is_looking_up(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, 4096, np.uint8)
    values = rng.integers(0, 4096, shape, np.uint16)
    assert np.array_equal(look_up(table, values), table[values])
    turned = np.asfortranarray(values)
    assert np.array_equal(look_up(table, turned), table[values])
