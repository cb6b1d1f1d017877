"""The stages: each is what the runtime does, and each gives what the next one takes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.errors import FilmError
from cxrscribe_bench.groups import STAGE_NAMES
from cxrscribe_bench.parts.stages import METHODS, Stages, open_stages
from cxrscribe_bench.timing.worker import Worker
from cxrscribe_bench.workload import Workload


@pytest.fixture(scope="module")
def workload(fused_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    folder = tmp_path_factory.mktemp("stages")
    random = np.random.default_rng(0)
    films = tuple(folder / f"{number}.png" for number in range(11))
    for film in films:
        Image.fromarray(random.integers(0, 256, (60, 50), dtype=np.uint8)).save(film)
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        features = reporter.encode(films)
    with h5py.File(folder / "features.h5", "w") as file:
        file["features"] = features
    return Workload(fused_bundle, films, folder / "features.h5", BeamSettings(max_length=9), 4, 1)


@pytest.fixture(scope="module")
def stages(workload: Workload) -> Stages:
    return open_stages(workload, "fp32")


def test_every_stage_has_a_method(stages: Stages) -> None:
    assert tuple(METHODS) == STAGE_NAMES
    for method in METHODS.values():
        getattr(stages, method)(0, 3)
    stages.read_films(0, 3)


@pytest.mark.parametrize("method", ["search", "film_to_text"])
@pytest.mark.parametrize(("first", "count"), [(0, 11), (3, 2)])
def test_words_are_those_of_the_runtime(
    stages: Stages, workload: Workload, method: str, first: int, count: int
) -> None:
    with cxrscribe.load(workload.bundle, device="cpu", threads=1) as reporter:
        films = [path.read_bytes() for path in workload.films[first : first + count]]
        reports = reporter.report_batch(films, workload.settings)
    stats = getattr(stages, method)(first, count)
    assert stats.images == count
    assert stats.words == sum(len(report.tokens) for report in reports if not isinstance(report, FilmError))


def test_encoder_gets_the_pictures_of_the_films(
    stages: Stages, workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[np.ndarray] = []
    monkeypatch.setattr(stages._encoder, "encode", given.append)
    stages.encode(1, 10)
    stages.encode(1, 10)
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        read = reporter.manifest.preprocessing.read
        pictures = np.stack([read(film) for film in workload.films[1:11]])
    assert given[0].dtype == np.uint8
    np.testing.assert_array_equal(given[0], pictures)
    assert given[1] is given[0]


def test_a_film_that_is_none_is_an_error_of_its_stage(workload: Workload, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no film")
    stages = open_stages(
        Workload(workload.bundle, (bad,), workload.features, workload.settings, 4, 1), "fp32"
    )
    for method in ("decode_files", "preprocess", "read_films", "encode", "film_to_text"):
        with pytest.raises(FilmError):
            getattr(stages, method)(0, 1)


def test_runs_in_a_worker(workload: Workload, tmp_path: Path) -> None:
    with Worker("stages", open_stages, workload, "fp32", log=tmp_path / "log") as worker:
        reply = worker.call("search", 0, 5)
    assert reply.value.images == 5
