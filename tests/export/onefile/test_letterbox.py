"""Films of any size, fitted inside the graph: the pixels of `Preprocessing.read`, to the bit."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import DeviceError, FilmError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_export.onefile.check import check_letterbox
from cxrscribe_export.onefile.letterbox import letterbox_model
from support.one_file import Film, session_on

TARGETS = ((192, 192), (224, 224), (24, 32), (97, 60), (7, 5), (1, 1), (512, 400))


@lru_cache
def letterbox(height: int, width: int) -> Any:
    return session_on(letterbox_model(height, width))


def fitted(film: Film, height: int, width: int) -> Film:
    (image,) = letterbox(height, width).run(None, {"film": film})
    assert (image.dtype, image.shape) == (np.uint8, (1, height, width))
    pixels: Film = image[0]
    return pixels


def wanted(film: Film, height: int, width: int) -> Film:
    picture = Preprocessing(height, width)
    try:
        return picture.read(film)
    except FilmError:  # too small, too large, or nothing to see: it has no report, but pixels all the same
        return picture.apply(film)


def drawn(height: int, width: int, kind: str, seed: int) -> Film:
    random = np.random.default_rng(seed)
    if kind == "noise":
        return random.integers(0, 256, (height, width), np.uint8)
    if kind == "black and white":
        return random.integers(0, 2, (height, width), np.uint8) * np.uint8(255)
    return np.full((height, width), seed % 256, np.uint8)  # must come out even


sides = (
    st.integers(1, 40) | st.integers(16, 600) | st.sampled_from([16, 24, 32, 191, 192, 193, 384, 576, 577])
)
sizes = st.tuples(sides, sides) | st.tuples(st.integers(600, 5000), st.integers(1, 40)).flatmap(
    lambda size: st.sampled_from([size, size[::-1]])
)
kinds = st.sampled_from(["noise", "noise", "black and white", "even"])


def assert_same(size: tuple[int, int], target: tuple[int, int], kind: str, seed: int) -> None:
    film = drawn(*size, kind, seed)
    np.testing.assert_array_equal(fitted(film, *target), wanted(film, *target))


@settings(max_examples=60, deadline=None)
@given(sizes, st.sampled_from(TARGETS), kinds, st.integers(0, 1000))
def test_pixels_are_those_of_the_runtime(
    size: tuple[int, int], target: tuple[int, int], kind: str, seed: int
) -> None:
    assert_same(size, target, kind, seed)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(
    sizes | st.tuples(st.integers(16, 2600), st.integers(16, 2600)),
    st.sampled_from((*TARGETS, (33, 64), (256, 320), (300, 299), (384, 384), (640, 512))),
    kinds,
    st.integers(0, 1000),
)
def test_pixels_are_those_of_the_runtime_on_thousands_of_sizes(
    size: tuple[int, int], target: tuple[int, int], kind: str, seed: int
) -> None:
    assert_same(size, target, kind, seed)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 5000), (5000, 1), (16, 16), (16, 20_000), (20_000, 16)], ids=str
)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_films_of_extreme_sizes(size: tuple[int, int], target: tuple[int, int]) -> None:
    assert_same(size, target, "noise", 1)


@pytest.mark.parametrize(
    "change", [(0, 0), (1, 0), (0, 1), (-1, 0), (0, -1), (192, 0), (0, 192), (384, 384)], ids=str
)
def test_films_of_about_the_size_of_the_picture(change: tuple[int, int]) -> None:
    assert_same((192 + change[0], 192 + change[1]), (192, 192), "noise", 2)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(5000, 20_000), (20_000, 5000), (10_000, 10_000)], ids=str)
@pytest.mark.parametrize("target", [(192, 192), (1, 1), (640, 512)], ids=str)
def test_the_largest_films(size: tuple[int, int], target: tuple[int, int]) -> None:
    assert_same(size, target, "noise", 3)
    film = np.full(size, 255, np.uint8)  # the largest sums
    np.testing.assert_array_equal(fitted(film, *target), wanted(film, *target))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)], ids=str)
def test_a_film_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(Exception, match="out of data bounds"):  # onnxruntime's errors have no class
        fitted(np.zeros(size, np.uint8), 24, 32)


def test_the_graph_has_standard_operators_alone() -> None:
    model = letterbox_model(192, 192)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert not {node.domain for node in model.graph.node} - {""}


def test_an_onnxruntime_that_fits_otherwise_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Preprocessing(24, 32)
    check_letterbox(picture)
    monkeypatch.setattr("cxrscribe_export.onefile.resampling.WEIGHT_BITS", 8)  # coarser weights
    with pytest.raises(DeviceError, match="--input image"):
        check_letterbox(picture)
