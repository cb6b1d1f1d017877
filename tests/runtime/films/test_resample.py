"""Resampling gives the same bits whatever Pillow is installed."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscribe.films import resample as module
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.resample import Resolution, filtered, reduced, resample

Sides = tuple[int, int]
SIDES = st.tuples(st.integers(1, 400), st.integers(1, 400)) | st.tuples(
    st.integers(1, 20), st.integers(1, 3000)
)
GAPS = st.sampled_from([None, 1.0, 2.0, 3.0])


def noise(sides: Sides, seed: int = 0, levels: int = 256) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, levels, sides, np.uint8)
    return values * np.uint8(255 // (levels - 1))


@pytest.fixture
def forgets() -> Iterator[None]:
    module._pillow_agrees.cache_clear()
    yield
    module._pillow_agrees.cache_clear()


@settings(deadline=None, max_examples=300)
@given(SIDES, st.booleans(), st.tuples(st.integers(1, 300), st.integers(1, 300)), GAPS, st.booleans())
@example((20, 3000), True, (224, 2), 3.0, False)  # 3000 rows: Pillow 13 would begin with them
def test_pillow_and_numpy_compute_the_same_bits(
    before: Sides, is_tall: bool, after: Sides, gap: float | None, only_black_and_white: bool
) -> None:
    before = before[::-1] if is_tall else before
    picture = noise(before, seed=sum(before), levels=2 if only_black_and_white else 256)
    factors = module._factors(before, *after, gap)
    by_numpy = module._by_numpy(picture, *after, factors)
    assert np.array_equal(by_numpy, module._by_pillow(picture, *after, factors))
    assert np.array_equal(by_numpy, resample(picture, *after, gap))


@settings(deadline=None)
@given(SIDES, st.tuples(st.integers(1, 300), st.integers(1, 300)), st.sampled_from([2, 4, 8]), st.data())
def test_pillow_and_numpy_take_resolutions_alike(
    before: Sides, after: Sides, times: int, data: st.DataObject
) -> None:
    picture = noise(before)
    missing = st.integers(0, times - 1)
    whole = [times * side - data.draw(missing) for side in before]
    resolution = Resolution(*whole, times)
    by_numpy = module._by_numpy(picture, *after, (1, 1), resolution)
    assert np.array_equal(by_numpy, module._by_pillow(picture, *after, (1, 1), resolution))
    assert np.array_equal(by_numpy, resample(picture, *after, 3.0, resolution))


@pytest.mark.parametrize("times", [2, 4, 8])
def test_a_resolution_lies_where_the_film_does(times: int) -> None:
    """A slope, of which every `times`-th sample was kept, and which is fitted as the whole slope is."""
    film = np.add.outer(np.arange(161) * 0.6, np.arange(203) * 0.7)
    kept = np.rint(film[::times, ::times]).astype(np.uint8)
    fitted = resample(kept, 12, 15, resolution=Resolution(161, 203, times)).astype(int)
    assert np.abs(fitted - resample(np.rint(film).astype(np.uint8), 12, 15, 3.0)).max() <= 3
    inside = (slice(1, -1), slice(1, -1))  # at the edges there is less to average
    assert np.abs(fitted - resample(np.rint(film).astype(np.uint8), 12, 15))[inside].max() <= 1


@settings(deadline=None)
@given(SIDES, st.tuples(st.integers(1, 60), st.integers(1, 60)), GAPS)
def test_wide_films_are_as_pillow_has_always_made_them(
    before: Sides, after: Sides, gap: float | None
) -> None:
    """Those whose rows lose no more than their columns: every Pillow begins with the rows."""
    before = (min(before[0], after[0]), max(before[1], after[1]))
    picture = noise(before)
    size = after[::-1]
    expected = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR, reducing_gap=gap)
    assert np.array_equal(resample(picture, *after, gap), np.asarray(expected))


def test_the_definition_does_not_change() -> None:
    """Of pictures without a random number, so that no library can change them."""
    digest = sha256()
    for before, after in (
        ((500, 400), (56, 45)),
        ((900, 60), (64, 4)),
        ((31, 700), (3, 64)),
        ((9, 8), (20, 30)),
    ):
        rows, columns = np.arange(before[0])[:, None], np.arange(before[1])
        picture = ((rows * rows * 7 + columns * columns * 3 + rows * columns) // 5 % 256).astype(np.uint8)
        for gap in (None, 3.0):
            digest.update(resample(picture, *after, gap).tobytes())
    assert digest.hexdigest() == "4b724db912b1ecb890ebd6b414a4b2ed4ca075de24c875eb486e5a06cab8521a"


def test_averages_round_halves_up() -> None:
    picture = np.array([[0, 1, 10], [0, 1, 11], [7, 8, 3]], np.uint8)
    assert reduced(picture, 2, 2).tolist() == [[1, 11], [8, 3]]


@pytest.mark.arm64
@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_filter_is_a_triangle_of_two_pixels(before: int, after: int) -> None:
    """Against the same integral in floating point; weights and the result are rounded once each."""
    picture = noise((3, before))
    scale = before / after
    reach = max(scale, 1.0)
    for place, column in enumerate(filtered(picture, after, before).T):
        center = (place + 0.5) * scale
        weights = np.maximum(1 - np.abs((np.arange(before) + 0.5 - center) / reach), 0)
        first, last = int(max(center - reach + 0.5, 0)), int(min(center + reach + 0.5, before))
        weights[:first] = weights[last:] = 0
        assert np.abs((picture * weights).sum(axis=1) / weights.sum() - column).max() <= 0.51


@pytest.mark.usefixtures("forgets")
def test_a_pillow_of_other_bits_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    film = noise((300, 170))
    expected = Preprocessing(64, 64).apply(film)
    honest = module._by_pillow
    calls = []

    def off_by_one(picture: np.ndarray, *how: object) -> np.ndarray:
        calls.append(picture.shape)
        shown = honest(picture, *how).copy()  # type: ignore[arg-type]
        shown[-1, -1] ^= 1
        return shown

    monkeypatch.setattr(module, "_by_pillow", off_by_one)
    module._pillow_agrees.cache_clear()
    assert np.array_equal(Preprocessing(64, 64).apply(film), expected)
    assert film.shape not in calls


@pytest.mark.usefixtures("forgets")
def test_this_pillow_is_used() -> None:
    assert module._pillow_agrees()
