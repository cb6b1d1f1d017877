"""The decoding benchmark: its peer finds the same reports, its floor has the rows that were run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copy, copytree

import numpy as np
import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.bundle.precision_pair import INT8
from cxrscribe.loader import open_bundle
from cxrscribe.search.decoding import search_in_order
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import Scheduler
from cxrscribe_bench.floor.matrix_products import MatrixProducts, multiplications
from cxrscribe_bench.floor.recording import RecordingExpander
from cxrscribe_bench.material.model import BenchmarkModel, ModelSize, make
from cxrscribe_bench.scripts.decoding import main as decoding
from cxrscribe_bench.scripts.stream_memory import main as stream_memory
from cxrscribe_bench.timing.rounds import ratio, rounds
from cxrscribe_export.precision.speed import WARM_UP

FEATURES = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


def test_recorded_rows_are_those_that_are_counted(fused_bundle: Path) -> None:
    bundle = open_bundle(fused_bundle, device="cpu", threads=1)
    expander = RecordingExpander(bundle.decoder.expander(0))
    vocabulary = bundle.manifest.vocabulary
    stats = DecodingStats()
    source = FeatureMatrix(FEATURES, [BeamSettings(beam_width=3)] * len(FEATURES), vocabulary, 32)
    list(search_in_order(Scheduler(expander, vocabulary, 32, one_width=False), source, stats))
    assert sum(expander.steps) == stats.rows
    assert len(expander.steps) == stats.steps
    assert expander.initial == [32, 8]
    products = MatrixProducts(bundle.manifest.architecture)
    products.prepare(expander.steps, expander.initial)
    products.run(expander.steps, expander.initial)


def test_multiplications_are_those_of_the_products(fused_bundle: Path) -> None:
    architecture = Bundle.open(fused_bundle).manifest.architecture
    size, words = architecture.hidden_size, architecture.vocabulary_size
    one_row = size * 4 * size + 2 * size * 4 * size + size * words
    assert multiplications(architecture, [1]) == one_row
    assert multiplications(architecture, [5, 5, 2]) == 12 * one_row


def test_ratio_is_taken_within_a_round() -> None:
    assert ratio({"one": [1.0, 8.0, 3.0], "other": [2.0, 4.0, 1.0]}, "one", "other") == 2.0
    calls: list[str] = []
    seconds = rounds({name: lambda name=name: calls.append(name) for name in "ab"}, 2)  # type: ignore[misc]
    assert calls == ["a", "b", "b", "a"] * (WARM_UP // 2 + 1)
    assert [len(each) for each in seconds.values()] == [2, 2]


def test_stream_memory_prints_its_figures(fused_bundle: Path) -> None:
    result = CliRunner().invoke(
        stream_memory, [str(fused_bundle), "--rows", "1500", "--warm-up", "500", "--json"]
    )
    found = json.loads(result.stdout)
    assert found["rows"] == 1500
    assert found["largest_resident_bytes_afterwards"] >= found["resident_bytes_after_warm_up"] > 0


def test_brief_prints_pythons_share_at_every_size_and_precision(
    fused_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copytree(fused_bundle, tmp_path / "bundle")
    call_them_int8_too(tmp_path / "bundle")
    np.savez(tmp_path / "features.npz", mean=np.zeros(6), deviation=np.ones(6))
    monkeypatch.setattr("cxrscribe_bench.scripts.decoding.model_at", BenchmarkModel)
    monkeypatch.setattr("cxrscribe_bench.scripts.decoding.MAX_LENGTH", 9)
    arguments = [str(tmp_path), "--brief", "--rounds", "1", "--images", "40"]
    found = json.loads(CliRunner().invoke(decoding, [*arguments, "--json"]).stdout)
    names = [figure["name"] for figure in found]
    sizes = ("1 image", "32 images", "40 images, 64 in flight")
    heads = [f"fp32, {size}: Python's share" for size in sizes]
    heads += ["40 images, 64 in flight: reports a second / plain numpy's"]
    heads += [f"int8, {size}: Python's share" for size in sizes]
    assert all(name.startswith(head) for name, head in zip(names, heads, strict=True))
    assert all(0 < figure["value"] < 1 for figure in found if "share" in figure["name"])
    table = CliRunner().invoke(decoding, arguments).stdout
    assert table.count("reached") == len(heads)


def call_them_int8_too(folder: Path) -> None:
    """Give a bundle its graphs a second time, as int8."""
    manifest = Manifest.read(folder)
    (folder / INT8).mkdir()
    for entry in manifest.files:
        copy(folder / entry.path, folder / INT8)
    again = [replace(entry, path=f"{INT8}/{entry.path}", precision=INT8) for entry in manifest.files]
    replace(manifest, files=(*manifest.files, *again)).write(folder)


@pytest.mark.slow
def test_reports_of_the_benchmark_model_are_as_long_as_real_ones(tmp_path: Path) -> None:
    model = make(tmp_path / "model", ModelSize(backbone="mobilenet_v1", side=64))
    with cxrscribe.load(model.bundle, device="cpu") as reporter:
        reports = reporter.decode_features(model.features(64))
    words = np.array([len(report.tokens) for report in reports])
    assert 28 < words.mean() < 46
    assert np.percentile(words, 90) < 75
    assert len({report.tokens for report in reports}) == 64
    assert all(report.finished for report in reports)
