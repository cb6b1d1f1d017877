"""Curves: every point is measured, in turn, and one that fails takes no other with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats
from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.material.random_decoder import write_random_decoder
from cxrscribe_bench.parts.curve import Curve, Point, measured
from cxrscribe_bench.parts.scaling import FULL, QUICK, Scale, Scaling, open_scaling, scaling_measurements
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.timing.worker import Reply, WorkerError
from cxrscribe_bench.workload import Workload

SMALL = Scale(
    films=(1, 3),
    batch_sizes=(1, 2),
    beam_widths=(1, 2),
    lengths=(3, 5),
    vocabularies=(20, 40),
    threads=(1, 1000),
    film_sizes=(64, 100),
    images=5,
    films_a_point=2,
    steps=4,
    rounds=2,
    seconds=10.0,
)


@pytest.fixture(scope="module")
def workload(fused_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Workload:
    folder = tmp_path_factory.mktemp("scaling")
    film = folder / "film.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 50), dtype=np.uint8)).save(film)
    with h5py.File(folder / "features.h5", "w") as file:
        file["features"] = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    settings = BeamSettings(max_length=9, n_best=2, banned_words=("a",))
    return Workload(fused_bundle, (film,), folder / "features.h5", settings, 4, 1)


class FakeWorker:
    """Notes its calls; fails where it is asked for a forbidden x."""

    def __init__(self, calls: list[Any], forbidden: Sequence[int]) -> None:
        self._calls = calls
        self._forbidden = forbidden
        self._calls.append("open")

    def call(self, method: str, x: int) -> Reply:
        self._calls.append(x)
        if x in self._forbidden:
            raise WorkerError(f"{x} is too much")
        return Reply(DecodingStats(words=10 * x, steps=x), x / 10, 1000 * x)

    def close(self) -> None:
        self._calls.append("close")


def _curve(workload: Workload, *values: int) -> Curve:
    points = tuple(Point(x, workload, "search", (x,), items=x) for x in values)
    return Curve("size", "px", "fp32", points)


def test_points_are_called_by_size_and_then_in_turn(workload: Workload) -> None:
    calls: list[Any] = []
    found = list(
        measured(_curve(workload, 2, 1), lambda point: FakeWorker(calls, ()), 2, 9.0, lambda *_: None)  # type: ignore[arg-type,return-value]
    )
    assert calls == ["open", 1, 2, 1, 2, 1, 2, "close"]
    assert found[1] == Measurement(
        "scaling/size",
        "fp32 2",
        (0.2, 0.2),
        items=2,
        labels={"x": 2, "unit": "px", "precision": "fp32"},
        words=20,
        steps=2,
        peak_bytes=2000,
    )


def test_no_third_round_begins_when_time_is_up(workload: Workload) -> None:
    (found,) = measured(
        _curve(workload, 1),
        lambda point: FakeWorker([], ()),  # type: ignore[arg-type,return-value]
        9,
        0.0,
        lambda *_: None,
    )
    assert len(found.seconds) == 2


def test_a_point_that_fails_is_reported_and_the_others_go_on(workload: Workload) -> None:
    calls: list[Any] = []
    failures: list[tuple[str, str]] = []
    found = list(
        measured(
            _curve(workload, 1, 2, 3),
            lambda point: FakeWorker(calls, (2,)),  # type: ignore[arg-type,return-value]
            1,
            9.0,
            lambda name, reason: failures.append((name, reason)),
        )
    )
    assert [each.labels["x"] for each in found] == [1, 3]
    assert failures == [("scaling/size/fp32 2", "2 is too much")]
    assert calls == ["open", 1, 2, "close", "open", 3, 1, 3, "close"]


@pytest.mark.slow
def test_every_variable_has_its_curve(workload: Workload, tmp_path: Path) -> None:
    begun: list[str] = []
    failures: list[str] = []
    found = list(
        scaling_measurements(
            workload, "fp32", SMALL, tmp_path, begun.append, lambda *each: failures.append(str(each))
        )
    )
    assert failures == []
    variables = ("films", "batch_size", "beam_width", "length", "vocabulary", "threads", "film_size")
    assert begun == [f"scaling/{variable}" for variable in variables]
    values = {group: [each.labels["x"] for each in found if each.group == group] for group in begun}
    assert values == {
        "scaling/films": [1, 3],
        "scaling/batch_size": [1, 2],
        "scaling/beam_width": [1, 2],
        "scaling/length": [3, 5],
        "scaling/vocabulary": [20, 40],
        "scaling/threads": sorted({1, usable_threads()}),
        "scaling/film_size": [64, 100],
    }
    assert all(len(each.seconds) == 2 for each in found)
    lengths = [each for each in found if each.group == "scaling/length"]
    assert [each.steps for each in lengths] == [6, 10], "5 images, 4 at a time"


@pytest.mark.slow
def test_bad_films_leave_out_their_curves_alone(workload: Workload, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no film")
    failures: list[str] = []
    found = scaling_measurements(
        replace(workload, films=(bad,)),
        "fp32",
        replace(SMALL, films=(1,), vocabularies=(20,), threads=()),
        tmp_path,
        failed=lambda name, reason: failures.append(name),
    )
    groups = {each.group for each in found}
    assert groups == {f"scaling/{name}" for name in ("batch_size", "beam_width", "length", "vocabulary")}
    assert failures == [
        "scaling/films/fp32 1",
        f"scaling/threads/fp32 {usable_threads()}",
        "scaling/film_size",
    ]


def test_without_films_their_curves_are_left_out(workload: Workload, tmp_path: Path) -> None:
    failures: list[str] = []
    found = scaling_measurements(
        replace(workload, films=()),
        "int8",  # which has no curve of the vocabulary, and here no graphs
        replace(SMALL, batch_sizes=(1,), beam_widths=(), lengths=()),
        tmp_path,
        failed=lambda name, reason: failures.append(name),
    )
    assert list(found) == []
    assert failures == ["scaling/films", "scaling/batch_size/int8 1", "scaling/threads", "scaling/film_size"]


def test_subject_takes_features_again_from_the_first(workload: Workload) -> None:
    scaling: Scaling = open_scaling(workload, "fp32")
    settings = BeamSettings(beam_width=2, max_length=7, min_length=6)
    stats = scaling.search(9, 2, settings)
    assert stats.images == 9
    assert stats.image_steps == 9 * 7
    assert scaling.report(workload.films * 2).images == 2


def test_a_random_decoder_takes_the_steps_that_are_forced(tmp_path: Path) -> None:
    architecture = Architecture("any", {}, 6, 5, 8, 2, 12)
    bundle = write_random_decoder(tmp_path / "bundle", architecture, 30)
    assert Bundle.open(bundle).inspect().intact
    features = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        assert len(reporter.vocabulary) == 30
        assert reporter.encode([np.arange(256, dtype=np.uint8).reshape(16, 16)]).shape == (1, 6)
        stats = DecodingStats()
        reports = reporter.decode_features(
            features, BeamSettings(beam_width=2, max_length=5, min_length=4), stats=stats
        )
    assert stats.image_steps == 3 * 5
    assert all(np.isfinite(report.log_prob) for report in reports)


@pytest.mark.parametrize("scale", [QUICK, FULL])
def test_points_rise(scale: Scale) -> None:
    for values in (
        scale.films,
        scale.batch_sizes,
        scale.beam_widths,
        scale.lengths,
        scale.vocabularies,
        scale.threads,
        scale.film_sizes,
    ):
        assert sorted(set(values)) == list(values)
    assert scale.lengths[0] >= 2
