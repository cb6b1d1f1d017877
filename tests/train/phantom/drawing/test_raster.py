"""Filling outlines: areas are right, edges are soft, and nothing outside the sheet breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.phantom.drawing.curve import UNIT, ellipse, points
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.pose import Pose
from cxrscribe_train.phantom.drawing.raster import FILM_SIZE, Raster, blurred, box_blurred

UPRIGHT = Pose()
PIXELS = st.integers(-200, 700)


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return points([(left - 256, top), (right - 256, top), (right - 256, bottom), (left - 256, bottom)])


def test_rectangle_fills_exactly_its_pixels() -> None:
    raster = Raster(UPRIGHT)
    raster.fill(rectangle(10, 20, 40, 60), 256)
    expected = np.zeros((FILM_SIZE, FILM_SIZE), dtype=np.int32)
    expected[20:60, 10:40] = 256
    assert np.array_equal(raster.sheet(), expected)


def test_direction_of_an_outline_does_not_matter() -> None:
    raster, reverse = Raster(UPRIGHT), Raster(UPRIGHT)
    raster.fill(rectangle(10, 20, 40, 60), 100)
    reverse.fill(rectangle(10, 20, 40, 60)[::-1], 100)
    assert np.array_equal(raster.sheet(), reverse.sheet())


def test_half_covered_pixel_gets_half_the_weight() -> None:
    raster = Raster(UPRIGHT)
    raster.fill(rectangle(10, 20, 40, 60) + np.array([UNIT // 2, 0]), 200)
    row = raster.sheet()[30]
    assert row[9:12].tolist() == [0, 100, 200]
    assert row[39:42].tolist() == [200, 100, 0]


@given(PIXELS, PIXELS, PIXELS, PIXELS)
def test_rectangle_is_cut_at_the_sheet(left: int, top: int, width: int, height: int) -> None:
    right, bottom = left + abs(width), top + abs(height)
    raster = Raster(UPRIGHT)
    raster.fill(rectangle(left, top, right, bottom), 256)
    inside_x = min(max(right, 0), FILM_SIZE) - min(max(left, 0), FILM_SIZE)
    inside_y = min(max(bottom, 0), FILM_SIZE) - min(max(top, 0), FILM_SIZE)
    assert raster.sheet().sum() == 256 * inside_x * inside_y


@pytest.mark.parametrize("radius", [6, 40, 150])
def test_ellipse_has_its_area(radius: int) -> None:
    raster = Raster(UPRIGHT)
    raster.fill(ellipse((0, 256 * UNIT), (radius * UNIT, radius * UNIT // 2), 90), 256)
    area = raster.sheet().sum() / 256
    assert area == pytest.approx(np.pi * radius * radius / 2, rel=0.02)


def test_several_outlines_add_up_with_their_own_weights() -> None:
    raster = Raster(UPRIGHT)
    both = np.stack([rectangle(0, 0, 20, 20), rectangle(10, 10, 30, 30)])
    raster.fill(both, np.array([100, 7]))
    sheet = raster.sheet()
    assert sheet[5, 5] == 100
    assert sheet[15, 15] == 107
    assert sheet[25, 25] == 7


@pytest.mark.parametrize("end", [(100, 300), (0, 400), (70, 330), (-90, 260)])
def test_stroke_covers_length_times_width(end: tuple[int, int]) -> None:
    raster = Raster(UPRIGHT)
    raster.stroke(points([(0, 300), end]), 8 * UNIT, 256)
    expected = 8 * np.hypot(end[0], end[1] - 300)
    assert raster.sheet().sum() / 256 == pytest.approx(expected, rel=0.05)


def test_stroke_may_taper() -> None:
    raster = Raster(UPRIGHT)
    raster.stroke(points([(0, 100), (0, 200)]), np.array([10, 2]) * UNIT, 256)
    widths = raster.sheet().sum(axis=1) // 256
    assert widths[102] == 9
    assert widths[198] == 2


def test_smaller_sheet_shows_the_same_scene() -> None:
    full, quarter = Raster(UPRIGHT), Raster(UPRIGHT, 4)
    for raster in (full, quarter):
        raster.fill(ellipse((0, 256 * UNIT), (120 * UNIT, 80 * UNIT)), 256)
    reduced = full.sheet().reshape(128, 4, 128, 4).mean(axis=(1, 3))
    assert np.abs(reduced - quarter.sheet()).mean() < 1


def test_empty_sheet_is_zero() -> None:
    assert not Raster(UPRIGHT).sheet().any()


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_blurring_keeps_an_even_sheet(value: int, rounds: int) -> None:
    sheet = np.full((9, 12), value, dtype=np.int32)
    assert np.array_equal(blurred(sheet, rounds), sheet)
    assert np.array_equal(box_blurred(sheet, rounds), sheet)


def test_blur_is_the_weighted_mean_of_neighbours() -> None:
    sheet = np.zeros((5, 5), dtype=np.int32)
    sheet[2, 2] = 16
    expected = np.outer([0, 1, 2, 1, 0], [0, 1, 2, 1, 0])
    assert np.array_equal(blurred(sheet, 1), expected)


def test_box_blur_is_the_mean_around_a_pixel() -> None:
    sheet = Stream(4).array(0, 900, 20, 30).astype(np.int32)
    padded = np.pad(sheet, 3, mode="edge").astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (7, 7))
    assert np.abs(box_blurred(sheet, 3) - windows.mean(axis=(2, 3))).max() < 2
