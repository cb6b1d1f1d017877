"""Curves in integers, held against floating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cxrscribe_train.phantom.drawing.curve import (
    ONE,
    UNIT,
    closed_spline,
    cosine,
    directions,
    ellipse,
    length,
    points,
    sine,
    spline,
)
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.pose import Pose

COORDINATES = st.integers(-(2**18), 2**18)
CONTROLS = arrays(np.int64, st.tuples(st.integers(3, 8), st.just(2)), elements=COORDINATES)


def test_sine_and_cosine_are_close_to_the_real_ones() -> None:
    degrees = np.arange(-400, 800)
    assert np.abs(sine(degrees) / ONE - np.sin(np.radians(degrees))).max() < 0.002
    assert np.abs(cosine(degrees) / ONE - np.cos(np.radians(degrees))).max() < 0.002
    assert np.array_equal(directions(degrees), np.stack([cosine(degrees), sine(degrees)], axis=-1))


@given(CONTROLS)
def test_length_is_nearly_the_real_one(vectors: np.ndarray) -> None:
    real = np.hypot(vectors[:, 0], vectors[:, 1])
    assert (np.abs(length(vectors) - real) <= 0.035 * real + 2).all()


@given(CONTROLS, st.integers(1, 6))
def test_spline_passes_through_its_controls(controls: np.ndarray, steps: int) -> None:
    assert np.array_equal(spline(controls, steps)[::steps], controls)
    assert np.array_equal(closed_spline(controls, steps)[::steps], controls)


def test_spline_of_a_straight_line_is_straight() -> None:
    line = spline(points([(0, 0), (10, 20), (20, 40), (30, 60)]), 5)
    assert np.array_equal(line[:, 1], 2 * line[:, 0])


def test_splines_of_a_batch_are_those_of_its_members() -> None:
    batch = Stream(1).array(-500, 500, 3, 6, 2)
    together = spline(batch, 4)
    assert all(np.array_equal(together[i], spline(batch[i], 4)) for i in range(3))


def test_ellipse_keeps_its_radii() -> None:
    outline = ellipse((5 * UNIT, 7 * UNIT), (30 * UNIT, 10 * UNIT), 40) - np.array([5, 7]) * UNIT
    share = (outline[:, 0] / (30 * UNIT)) ** 2 + (outline[:, 1] / (10 * UNIT)) ** 2
    assert share == pytest.approx(1, abs=0.01)


@given(st.integers(0, 2**40))
def test_poses_keep_the_chest_on_the_film(seed: int) -> None:
    pose = Pose.drawn(Stream(seed))
    corners = pose(points([(-190, 60), (190, 60), (-190, 420), (190, 420)])) / UNIT
    assert (corners > 8).all()
    assert (corners < 504).all()
    assert (corners[::2, 0] < 160).all()  # never mirrored
    assert (corners[:2, 1] < 120).all()


def test_neutral_pose_only_moves_the_origin() -> None:
    assert np.array_equal(Pose()(points([(0, 0), (-256, 512)])), points([(256, 0), (0, 512)]))
