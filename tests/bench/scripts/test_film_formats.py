"""The benchmark of film formats."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_bench.material import large_films
from cxrscribe_bench.scripts import film_formats


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (large_films, film_formats):
        monkeypatch.setattr(module, "SIDES", (320, 256))


@pytest.mark.usefixtures("small")
def test_every_format_is_the_same_film() -> None:
    films = film_formats.written(large_films.large_film(1))
    read = Preprocessing(64, 64).read
    pictures = {name: read(content, Isolation("none")).astype(float) for name, content in films.items()}
    for name in ("DICOM JPEG lossless", "DICOM JPEG-LS", "DICOM RLE"):
        assert np.array_equal(pictures[name], pictures["DICOM raw, 12 bits"])
    for lossy, whole in (
        ("JPEG", "PNG, 8 bits"),
        ("DICOM JPEG", "PNG, 8 bits"),
        ("DICOM JPEG 2000", "DICOM raw, 12 bits"),
    ):
        assert np.abs(pictures[lossy] - pictures[whole]).mean() < 2


@pytest.mark.usefixtures("small")
def test_costs_and_words_are_printed() -> None:
    options = ["--rounds", "1", "--words", "2", "--json"]
    result = CliRunner().invoke(film_formats.main, options, catch_exceptions=False)
    found = json.loads(result.stdout)
    assert set(found["formats"]) == set(large_films.FORMATS)
    assert all(costs["now_ms"] > 0 and costs["before_ms"] > 0 for costs in found["formats"].values())
    assert all(0 <= share <= 1 for share in found["changed_words"].values())
    table = CliRunner().invoke(film_formats.main, ["--rounds", "1"], catch_exceptions=False)
    assert "DICOM JPEG 2000" in table.stdout
