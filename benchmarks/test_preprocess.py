"""How long a film's file takes to become what the encoder reads."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe import Reporter
from cxrscribe.films.film import read_film

LARGE = (2500, 2048)
"""(height, width) of a film as it comes from a digital detector."""


@pytest.fixture(scope="module")
def large_jpeg(films: list[bytes]) -> bytes:
    height, width = LARGE
    file = BytesIO()
    Image.fromarray(read_film(films[0])).resize((width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.mark.benchmark(group="preprocess")
def test_small_png(benchmark: BenchmarkFixture, reporter: Reporter, films: list[bytes]) -> None:
    preprocessing = reporter.manifest.preprocessing
    assert read_film(films[0]).shape == (512, 512)
    picture = benchmark(preprocessing.read, films[0])
    assert picture.shape == (preprocessing.height, preprocessing.width)
    assert picture.std() > 1


@pytest.mark.benchmark(group="preprocess")
def test_small_film_already_decoded(
    benchmark: BenchmarkFixture, reporter: Reporter, films: list[bytes]
) -> None:
    preprocessing = reporter.manifest.preprocessing
    film = read_film(films[0])
    picture = benchmark(preprocessing.apply, film)
    assert np.array_equal(picture, preprocessing.read(films[0]))


@pytest.mark.benchmark(group="preprocess")
def test_large_jpeg_decoded_at_reduced_size(
    benchmark: BenchmarkFixture, reporter: Reporter, large_jpeg: bytes
) -> None:
    preprocessing = reporter.manifest.preprocessing
    assert read_film(large_jpeg).shape == LARGE
    picture = benchmark(preprocessing.read, large_jpeg)
    assert picture.shape == (preprocessing.height, preprocessing.width)
    whole = preprocessing.apply(read_film(large_jpeg))
    assert np.abs(picture.astype(int) - whole).mean() < 2  # the same film, reduced in another way


@pytest.mark.benchmark(group="preprocess")
def test_large_jpeg_decoded_whole(benchmark: BenchmarkFixture, reporter: Reporter, large_jpeg: bytes) -> None:
    preprocessing = reporter.manifest.preprocessing
    picture = benchmark(lambda: preprocessing.apply(read_film(large_jpeg)))
    assert picture.shape == (preprocessing.height, preprocessing.width)
