"""Large films: each stage is what the runtime does, and a format that can't be written or read is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.errors import FilmError
from cxrscribe_bench.material import large_films
from cxrscribe_bench.parts import real_sizes
from cxrscribe_bench.parts.real_sizes import FormatStages, RealSizes, Sizes, open_format_stages
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.workload import Workload

FORMATS = ("PNG, 8 bits", "JPEG")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_films, "SIDES", (100, 80))


@pytest.fixture
def workload(fused_bundle: Path, tmp_path: Path) -> Workload:
    return Workload(fused_bundle, (), tmp_path / "none.h5", BeamSettings(max_length=9), 4, 1)


@pytest.fixture
def films(tmp_path: Path) -> list[tuple[Path, ...]]:
    return [large_films.write_large_films(2, name, tmp_path / "large") for name in FORMATS]


@pytest.fixture
def stages(workload: Workload, films: list[tuple[Path, ...]]) -> FormatStages:
    return open_format_stages(workload, "fp32", films, 5)


def real(workload: Workload, tmp_path: Path, ledger: Ledger) -> RealSizes:
    return RealSizes(
        workload, ("fp32",), Sizes(1, 2), 1, tmp_path / "large", ledger, tmp_path, note=lambda text: None
    )


def empty_ledger() -> Ledger:
    return Ledger(environment={"load": None}, bundle={}, options={})


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("method", ["search", "film_to_text"])
def test_words_are_those_of_the_runtime(
    stages: FormatStages, workload: Workload, films: list[tuple[Path, ...]], method: str, number: int
) -> None:
    one, other = films[number]
    with cxrscribe.load(workload.bundle, device="cpu", threads=1) as reporter:
        reports = reporter.report_batch([one, other, one, other, one], workload.settings)
    stats = getattr(stages, method)(number)
    assert stats.images == 5
    assert stats.words == sum(len(report.tokens) for report in reports if not isinstance(report, FilmError))


def test_encoder_gets_the_pictures_of_the_films(
    stages: FormatStages,
    workload: Workload,
    films: list[tuple[Path, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[np.ndarray] = []
    monkeypatch.setattr(stages._encoder, "encode", given.append)
    stages.encode(1)
    with cxrscribe.load(workload.bundle, device="cpu") as reporter:
        read = reporter.manifest.preprocessing.read
        pictures = [read(films[1][number % 2]) for number in range(5)]
    np.testing.assert_array_equal(given[0], np.stack(pictures))


@pytest.mark.parametrize("method", ["read", "read_side_by_side"])
def test_both_ways_of_reading_read_every_film(
    stages: FormatStages, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    read = stages._read

    def counted(film: bytes) -> np.ndarray:
        seen.append(film)
        return read(film)

    monkeypatch.setattr(stages, "_read", counted)
    getattr(stages, method)(0)
    assert sorted(seen) == sorted(stages._films[0])


def test_every_stage_of_every_format_is_measured_once(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        real_sizes, "MEASURED", FORMATS[:1]
    )  # the worker, a new process, needs no small SIDES
    ledger = empty_ledger()
    real(workload, tmp_path, ledger).measure()
    assert [each.name for each in ledger.measurements] == [
        "read/PNG, 8 bits",
        "read side by side/PNG, 8 bits",
        "search/PNG, 8 bits/fp32",
        "film to text/PNG, 8 bits/fp32",
        "encode/fp32",
    ]
    assert {each.items for each in ledger.measurements} == {2}
    assert all(each.labels["cores"] for each in ledger.measurements)
    assert isinstance(ledger.measurements[0].labels["file_bytes"], int)
    assert not ledger.absent


@pytest.mark.parametrize("what", ["writer", "reader"])
def test_a_format_that_is_not_there_is_said_and_the_others_are_kept(
    workload: Workload, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    write = large_films.write_large_films

    def writes(count: int, name: str, folder: Path) -> tuple[Path, ...]:
        if name == "JPEG" and what == "writer":
            raise ModuleNotFoundError("No module named 'imagecodecs'")
        paths = write(count, name, folder)
        if name == "JPEG":
            paths[0].write_bytes(b"no film")
        return paths

    monkeypatch.setattr(real_sizes, "MEASURED", FORMATS)
    monkeypatch.setattr(real_sizes, "write_large_films", writes)
    ledger = empty_ledger()
    assert list(real(workload, tmp_path, ledger)._films()) == ["PNG, 8 bits"]
    assert list(ledger.absent) == ["real sizes: JPEG"]
    assert not ledger.failures


def test_on_a_gpu_nobody_says_how_many_cores(
    workload: Workload, tmp_path: Path, films: list[tuple[Path, ...]]
) -> None:
    for device, says in (("cpu", True), ("cuda", False)):
        part = real(replace(workload, device=device), tmp_path, empty_ledger())
        parts = part._parts(dict(zip(FORMATS, films, strict=True)), "fp32")
        assert len(parts) == 9
        assert all(("cores" in labels) == says for *_, labels in parts)


def test_a_precision_may_name_its_device(
    workload: Workload, tmp_path: Path, films: list[tuple[Path, ...]]
) -> None:
    elsewhere = replace(workload, device="nowhere")
    assert open_format_stages(elsewhere, "fp32@cpu", films, 2).search(0).images == 2
    part = real(elsewhere, tmp_path, empty_ledger())
    by_name = dict(zip(FORMATS, films, strict=True))
    for precision, says in (("fp32", False), ("fp32@cpu", True)):
        parts = part._parts(by_name, precision)
        assert parts
        assert all(("cores" in labels) == says for *_, labels in parts)


def test_drawn_films_are_kept(tmp_path: Path) -> None:
    (film,) = large_films.write_large_films(1, "PNG, 8 bits", tmp_path)
    film.write_bytes(b"mine")
    assert large_films.write_large_films(1, "PNG, 8 bits", tmp_path) == (film,)
    assert film.read_bytes() == b"mine"
