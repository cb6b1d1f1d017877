"""Fitting films into the size that a network reads."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.film import read_film
from cxrscribe.films.preprocess import IMAGENET_MEAN, Preprocessing
from cxrscribe.json_object import JsonObject

SIDES = st.integers(min_value=16, max_value=300)


def bright_film(height: int, width: int) -> np.ndarray:
    return np.full((height, width), 200, dtype=np.uint8)


@settings(deadline=None)  # a busy machine is no failure
@given(film_height=SIDES, film_width=SIDES, height=st.integers(1, 96), width=st.integers(1, 96))
def test_whole_film_is_centred_between_black_bars(
    film_height: int, film_width: int, height: int, width: int
) -> None:
    preprocessing = Preprocessing(height, width)
    picture = preprocessing.apply(bright_film(film_height, film_width))
    fitted_height, fitted_width = preprocessing.fitted_size(film_height, film_width)

    assert picture.shape == (height, width)
    assert picture.dtype == np.uint8
    rows, columns = np.nonzero(picture)
    assert np.count_nonzero(picture) == fitted_height * fitted_width
    assert np.all(picture[rows, columns] == 200)
    top, bottom = rows.min(), height - 1 - rows.max()
    left, right = columns.min(), width - 1 - columns.max()
    assert 0 <= bottom - top <= 1
    assert 0 <= right - left <= 1


@settings(deadline=None)  # a busy machine is no failure
@given(film_height=SIDES, film_width=SIDES, height=st.integers(1, 96), width=st.integers(1, 96))
def test_fitted_size_keeps_the_aspect_ratio_within_half_a_pixel(
    film_height: int, film_width: int, height: int, width: int
) -> None:
    fitted_height, fitted_width = Preprocessing(height, width).fitted_size(film_height, film_width)

    assert fitted_height <= height
    assert fitted_width <= width
    assert fitted_height == height or fitted_width == width
    scale = min(height / film_height, width / film_width)
    assert abs(fitted_height - max(1.0, film_height * scale)) <= 0.5 + 1e-9
    assert abs(fitted_width - max(1.0, film_width * scale)) <= 0.5 + 1e-9


@settings(deadline=None)  # a busy machine is no failure
@given(film_height=SIDES, film_width=SIDES, seed=st.integers(0, 2**32 - 1))
def test_a_film_of_the_right_size_is_left_as_it_is(film_height: int, film_width: int, seed: int) -> None:
    film = np.random.default_rng(seed).integers(0, 256, (film_height, film_width), dtype=np.uint8)
    assert np.array_equal(Preprocessing(film_height, film_width).apply(film), film)


def test_same_pixels_on_any_machine() -> None:
    # A golden sum: the film is made with integers, and Pillow's filter works on 8-bit pixels with integers.
    rows, columns = np.mgrid[0:700, 0:500]
    film = ((rows * 7 + columns * 13 + rows * columns // 50) % 256).astype(np.uint8)
    picture = Preprocessing(64, 64).apply(film)
    assert int((picture.astype(np.int64) * np.arange(64 * 64).reshape(64, 64)).sum()) == 768_116_150


def test_averages_over_all_pixels_when_it_shrinks() -> None:
    stripes = np.zeros((512, 512), dtype=np.uint8)
    stripes[:, ::2] = 255
    picture = Preprocessing(32, 32).apply(stripes)
    assert np.abs(picture.astype(int) - 127).max() <= 2


def test_does_not_change_the_film() -> None:
    film = bright_film(40, 30)
    picture = Preprocessing(40, 30).apply(film)
    picture[:] = 0
    assert film.min() == 200


def test_read_is_read_film_then_apply(tmp_path: Path) -> None:
    film = np.random.default_rng(1).integers(0, 256, (90, 120), dtype=np.uint8)
    path = tmp_path / "film.png"
    Image.fromarray(film).save(path)
    preprocessing = Preprocessing(32, 48)
    assert np.array_equal(preprocessing.read(path), preprocessing.apply(read_film(path)))
    with pytest.raises(FilmError, match="does not exist"):
        preprocessing.read(tmp_path / "none.png")


def test_reduced_jpeg_looks_like_the_full_one() -> None:
    rows, columns = np.mgrid[0:1600, 0:1200]
    film = (128 + 60 * np.sin(rows / 90) + 60 * np.cos(columns / 70)).astype(np.uint8)
    content = BytesIO()
    Image.fromarray(film).save(content, "JPEG", quality=95)
    preprocessing = Preprocessing(128, 128)
    reduced = preprocessing.read(content.getvalue()).astype(int)
    full = preprocessing.apply(read_film(content.getvalue())).astype(int)
    assert np.abs(reduced - full).max() <= 3


@pytest.mark.parametrize(
    "film",
    [
        np.zeros((20, 20, 3), dtype=np.uint8),
        np.zeros((20, 20), dtype=np.float32),
        np.zeros((0, 20), dtype=np.uint8),
    ],
)
def test_apply_refuses_what_is_no_grey_film(film: np.ndarray) -> None:
    with pytest.raises(InputError, match="grey film uint8"):
        Preprocessing(32, 32).apply(film)


def read(fields: dict[str, object]) -> Preprocessing:
    return Preprocessing.from_json(JsonObject(fields, "run.json: preprocessing"))


@settings(deadline=None)  # a busy machine is no failure
@given(height=st.integers(1, 4096), width=st.integers(1, 4096), mean=st.floats(0, 1), std=st.floats(0.01, 1))
def test_json_round_trip(height: int, width: int, mean: float, std: float) -> None:
    preprocessing = Preprocessing(height, width, mean=(mean, 0.5, 0.5), std=(std, 0.2, 0.2))
    assert read(preprocessing.to_json()) == preprocessing


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("height", 0, "height is 0"),
        ("height", 224.0, "height is 224.0"),
        ("width", 5000, "width is 5000"),
        ("width", True, "width is True"),
        ("resize", "stretch", "resize is 'stretch'"),
        ("mean", [0.5], "mean is"),
        ("mean", [0.5, float("nan"), 0.5], "mean is"),
        ("mean", [0.5, True, 0.5], "mean is"),
        ("mean", [10**400, 0.5, 0.5], "mean is"),
        ("std", [0.5, 0.0, 0.5], "above 0"),
        ("std", "abc", "std is 'abc'"),
    ],
)
def test_json_with_a_wrong_value_is_refused(field: str, value: object, message: str) -> None:
    fields = Preprocessing(64, 64).to_json() | {field: value}
    with pytest.raises(InputError, match=message):
        read(fields)


def test_json_with_missing_or_unknown_fields_is_refused() -> None:
    fields = Preprocessing(64, 64).to_json()
    with pytest.raises(InputError, match="crop"):
        read(fields | {"crop": 1})
    del fields["std"]
    with pytest.raises(InputError, match="std"):
        read(fields)


def test_defaults_are_those_of_imagenet() -> None:
    assert Preprocessing(224, 224).mean == IMAGENET_MEAN == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("levels", [1, 2, 7])
def test_film_with_few_grey_levels_has_nothing_to_see(levels: int) -> None:
    film = (np.arange(64 * 64) % levels * 30).astype(np.uint8).reshape(64, 64)
    with pytest.raises(FilmError, match=f"film array: has nothing to see: {levels} grey level"):
        Preprocessing(64, 64).read(film)
    assert Preprocessing(64, 64).apply(film).shape == (64, 64)


def test_film_that_is_almost_even_has_nothing_to_see() -> None:
    film = np.full((64, 64), 100, np.uint8)
    film[0, :20] = np.arange(20)  # levels enough, and no deviation
    film[0, :20] += 90
    with pytest.raises(FilmError, match=r"standard deviation [01]\."):
        Preprocessing(64, 64).read(film)


def test_padding_of_the_letterbox_is_nothing_to_see() -> None:
    with pytest.raises(FilmError, match="nothing to see: 1 grey level,"):
        Preprocessing(64, 64).read(np.full((64, 20), 200, np.uint8))


def test_rules_are_recorded_and_those_of_old_bundles_stay() -> None:
    fields = Preprocessing(64, 64).to_json()
    assert (fields.pop("display"), fields.pop("png_range")) == (3, "used")
    old = Preprocessing.from_json(JsonObject(fields, "manifest.json"))
    assert (old.display, old.png_range) == (1, "full")
    assert "png_range" not in old.to_json()  # digests of what they made stay
    with pytest.raises(InputError, match="display is 4; this version knows rules 1 to 3"):
        Preprocessing(64, 64, display=4)
    with pytest.raises(InputError, match="png_range is 'most'; there are full and used"):
        Preprocessing(64, 64, png_range="most")


@pytest.mark.parametrize(("display", "shape"), [(1, (300, 400)), (2, (300, 400)), (3, (150, 200))])
def test_old_bundles_keep_the_size_that_jpeg_is_decoded_at(display: int, shape: tuple[int, int]) -> None:
    preprocessing = Preprocessing(75, 75, display=display)
    content = BytesIO()
    Image.linear_gradient("L").resize((800, 600)).save(content, "JPEG")
    hint = preprocessing.size_hint
    assert read_film(content.getvalue(), hint).shape == shape
