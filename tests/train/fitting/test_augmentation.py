from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.fitting.augmentation import Augmentation

UNCHANGED = Augmentation(rotation=0, shift=0, scale=0, crop=0, brightness=0, contrast=0)
STRONGEST = Augmentation(rotation=45, shift=0.49, scale=0.49, crop=0.49, brightness=0.49, contrast=0.49)


def film_with_mark_at(row: int, column: int, side: int = 64) -> np.ndarray:
    film = np.zeros((side, side), np.uint8)
    film[row - 3 : row + 4, column - 3 : column + 4] = 255
    return film


@given(st.integers(0, 2**32 - 1))
def test_no_film_is_ever_mirrored(seed: int) -> None:
    a, b, _, d, e, _ = STRONGEST.affine(64, 64, np.random.default_rng(seed))
    assert a * e - b * d > 0  # a reflection has a negative determinant


@given(st.integers(0, 2**32 - 1))
def test_the_default_keeps_a_mark_on_its_side(seed: int) -> None:
    film = Augmentation(brightness=0, contrast=0)(film_with_mark_at(32, 12), np.random.default_rng(seed))
    columns = np.nonzero(film > 128)[1]
    assert columns.mean() < 32


def test_nothing_changes_where_every_range_is_zero() -> None:
    film = np.random.default_rng(0).integers(0, 256, (40, 56), dtype=np.uint8)
    assert np.array_equal(UNCHANGED(film, np.random.default_rng(1)), film)


def test_the_same_generator_gives_the_same_film() -> None:
    film = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    first, second = (Augmentation()(film, np.random.default_rng(7)) for _ in range(2))
    other = Augmentation()(film, np.random.default_rng(8))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_scale_enlarges_and_shrinks() -> None:
    scaling = Augmentation(rotation=0, shift=0, scale=0.3, crop=0, brightness=0, contrast=0)
    film = film_with_mark_at(32, 32)
    areas = [int((scaling(film, np.random.default_rng(seed)) > 128).sum()) for seed in range(20)]
    assert min(areas) < int((film > 128).sum()) < max(areas)


def test_exposure_never_leaves_the_grey_range_and_keeps_the_order() -> None:
    for seed in range(50):
        greys = STRONGEST.exposure(np.random.default_rng(seed))
        assert greys.dtype == np.uint8
        assert np.all(np.diff(greys.astype(int)) >= 0)


@pytest.mark.parametrize(("name", "value"), [("rotation", 46), ("shift", 0.5), ("contrast", -0.1)])
def test_a_range_that_would_spoil_films_is_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        Augmentation(**{name: value})
