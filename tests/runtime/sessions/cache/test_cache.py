"""Graphs from the cache: the same to the bit, made once, and never a way around the bundle's own checks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.errors import BundleError
from cxrscribe.sessions import cache as graph_cache
from cxrscribe.sessions.cache_folder import CacheFolder
from support.small_bundle import SmallBundle

from .cached import (
    GRAPHS,
    Films,
    flip,
    forbid_plain_sessions,
    load,
    optimized_key,
    results,
)


def test_graphs_are_optimized_once(
    bundle: Path, folder: CacheFolder, films: Films, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_plain_sessions(monkeypatch)
    first = results(load(bundle, folder), films)
    assert len(optimized) == len(folder.entries()) == GRAPHS
    assert results(load(bundle, folder), films) == first
    assert len(optimized) == GRAPHS


@pytest.mark.parametrize("which", ["small", "external data", "fused", "demo"])
def test_results_are_the_same_to_the_bit(
    which: str, request: pytest.FixtureRequest, folder: CacheFolder, films: Films
) -> None:
    path = {
        "small": lambda: request.getfixturevalue("small_bundle"),
        "external data": lambda: request.getfixturevalue("bundle"),
        "fused": lambda: request.getfixturevalue("fused_bundle"),
        "demo": cxrscribe.demo_bundle,
    }[which]()
    without = results(cxrscribe.load(path, device="cpu", cache=False), films)
    assert results(load(path, folder), films) == without  # makes the entries
    assert results(load(path, folder), films) == without  # uses them
    assert folder.entries()


def test_nothing_is_kept_without_a_cache(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimized: list[str]
) -> None:
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "unwanted"))
    cxrscribe.load(bundle, device="cpu", cache=False).close()
    assert not (tmp_path / "unwanted").exists()
    assert optimized == []


def test_default_is_the_folder_that_the_environment_names(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "named"))
    cxrscribe.load(bundle, device="cpu").close()
    assert len(CacheFolder(tmp_path / "named").entries()) == GRAPHS


def test_other_onnxruntime_makes_other_entries(
    bundle: Path, folder: CacheFolder, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    monkeypatch.setattr("onnxruntime.__version__", "99.0")
    load(bundle, folder).close()
    assert len(optimized) == len(folder.entries()) == 2 * GRAPHS


def test_other_processor_makes_other_entries(
    bundle: Path, folder: CacheFolder, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    monkeypatch.setattr(graph_cache, "processor", lambda: "another one")
    load(bundle, folder).close()
    assert len(optimized) == len(folder.entries()) == 2 * GRAPHS


def test_other_weights_under_the_same_graph_make_other_entries(
    tmp_path: Path, folder: CacheFolder, films: Films
) -> None:
    """Two bundles may share a graph that keeps its weights in a file beside it."""
    first = SmallBundle(hidden=40, external_data=True).write(tmp_path / "first")
    second = SmallBundle(hidden=40, external_data=True, seed=1).write(tmp_path / "second")
    steps = [GraphSource(Bundle.open(path), "decoder_step.onnx") for path in (first, second)]
    assert optimized_key(steps[0]) != optimized_key(steps[1])
    for path in (first, second, first):
        assert results(load(path, folder), films) == results(
            cxrscribe.load(path, device="cpu", cache=False), films
        )
    assert len(folder.entries()) == 2 * GRAPHS


def test_bundle_that_is_damaged_after_it_was_cached_is_refused(bundle: Path, folder: CacheFolder) -> None:
    load(bundle, folder).close()
    flip(bundle / ENCODER)
    with pytest.raises(BundleError, match=r"encoder\.onnx has the sha256"):
        load(bundle, folder)


def test_external_data_that_is_damaged_after_it_was_cached_is_refused(
    bundle: Path, folder: CacheFolder
) -> None:
    load(bundle, folder).close()
    flip(bundle / "decoder_step.onnx.data")
    with pytest.raises(BundleError, match=r"decoder_step\.onnx\.data has the sha256"):
        load(bundle, folder)


@pytest.mark.parametrize("verify", [True, False])
def test_bundle_that_loses_a_file_after_it_was_cached_is_refused(
    bundle: Path, folder: CacheFolder, verify: bool
) -> None:
    load(bundle, folder).close()
    (bundle / "decoder_step.onnx.data").unlink()
    with pytest.raises(BundleError, match=r"decoder_step\.onnx\.data can't be opened"):
        load(bundle, folder, verify)


def test_files_that_have_not_been_written_since_are_not_read_again(
    bundle: Path, folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    read: list[str] = []
    check = Bundle.check_sha256
    monkeypatch.setattr(
        Bundle, "check_sha256", lambda self, file: (read.append(file.entry.path), check(self, file))
    )
    load(bundle, folder).close()
    assert read == []
    os.utime(bundle / ENCODER)  # as a copy of the bundle has it
    load(bundle, folder).close()
    assert read == [ENCODER]
    load(bundle, folder).close()
    assert read == [ENCODER]


def test_copy_of_a_bundle_uses_the_same_entries(
    bundle: Path, folder: CacheFolder, tmp_path: Path, optimized: list[str]
) -> None:
    load(bundle, folder).close()
    shutil.copytree(bundle, tmp_path / "copy", copy_function=shutil.copyfile)
    load(tmp_path / "copy", folder).close()
    assert len(optimized) == GRAPHS
