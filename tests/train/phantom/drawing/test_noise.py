"""The phantom's own random numbers: fixed for ever, even, and independent of the machine."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.phantom.drawing.noise import Stream, clouds, enlarged, grain

FIRST_OF_SEVEN = [389829, 16788, 900760, 582930]
POSE_OF_SEVEN = [[2, 21, 43], [-8, 10, -45]]
SEEDS = st.integers(min_value=-(2**70), max_value=2**70)


def test_first_numbers_never_change() -> None:
    stream = Stream(7)
    assert [stream.between(0, 999_999) for _ in range(4)] == FIRST_OF_SEVEN
    assert Stream(7).fork("pose").array(-50, 50, 2, 3).tolist() == POSE_OF_SEVEN


@given(SEEDS)
def test_array_gives_what_single_draws_give(seed: int) -> None:
    single = Stream(seed)
    assert Stream(seed).array(-40, 90, 20).tolist() == [single.between(-40, 90) for _ in range(20)]


@given(SEEDS, st.integers(-1000, 1000), st.integers(0, 1000))
def test_draws_stay_within_their_limits(seed: int, low: int, span: int) -> None:
    drawn = Stream(seed).array(low, low + span, 50)
    assert low <= drawn.min() <= drawn.max() <= low + span


def test_draws_are_even() -> None:
    counts = np.bincount(Stream(3).array(0, 9, 100_000), minlength=10)
    assert np.abs(counts - 10_000).max() < 500  # five standard deviations


def test_fork_depends_on_its_name_only() -> None:
    stream = Stream(1)
    before = stream.fork("ribs").array(0, 1000, 5)
    stream.between(0, 5)
    assert np.array_equal(stream.fork("ribs").array(0, 1000, 5), before)
    assert not np.array_equal(stream.fork("heart").array(0, 1000, 5), before)


def test_sign_reaches_both_answers() -> None:
    stream = Stream(5)
    assert {stream.sign() for _ in range(50)} == {-1, 1}


def test_grain_is_centered_and_fills_its_range() -> None:
    noise = grain(Stream(2), 256)
    assert noise.shape == (256, 256)
    assert noise.dtype == np.int16
    assert abs(float(noise.mean())) < 1
    assert noise.min() < -110
    assert noise.max() > 110


def test_clouds_are_smooth_and_not_flat() -> None:
    field = clouds(Stream(2), 128, 16)
    assert field.shape == (128, 128)
    assert field.std() > 20
    steepest = 255 * 3 // 2 // 16 + 2  # the smooth step's slope is at most 3/2
    assert np.abs(np.diff(field, axis=0)).max() <= steepest
    assert np.abs(np.diff(field, axis=1)).max() <= steepest


@given(st.integers(-500, 500), st.integers(1, 3))
def test_enlarging_keeps_an_even_field(value: int, doublings: int) -> None:
    field = np.full((5, 7), value, dtype=np.int32)
    large = enlarged(field, doublings)
    assert large.shape == (5 << doublings, 7 << doublings)
    assert (large == value).all()


def test_enlarging_a_ramp_keeps_its_slope() -> None:
    ramp = np.broadcast_to(np.arange(20, dtype=np.int32) * 64, (20, 20))
    large = enlarged(ramp, 1)
    assert np.array_equal(np.unique(np.diff(large[:, 1:-1], axis=1)), [32])
    assert np.array_equal(np.unique(np.diff(enlarged(ramp.T, 1)[1:-1], axis=0)), [32])
