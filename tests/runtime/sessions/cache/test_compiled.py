"""What OpenVINO compiled, in the cache: made once, used, and never read when it isn't what was put there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import cxrscribe
from cxrscribe.sessions import openvino_models
from cxrscribe.sessions.cache_folder import CacheEntry, CacheFolder
from cxrscribe.sessions.cache_record import MODEL_NAME, CacheRecord, Compilation, crc32_of
from cxrscribe.sessions.openvino import CompiledGraph
from support.openvino import needs_openvino

from .cached import Films, flip, no_space

pytestmark = needs_openvino


def load(bundle: Path, folder: CacheFolder, **options: object) -> cxrscribe.Reporter:
    return cxrscribe.load(bundle, device="openvino", cache=folder.path, threads=1, **options)  # type: ignore[arg-type]


def features(reporter: cxrscribe.Reporter, films: Films) -> bytes:
    """Of one film and of eight, so that graphs of both sizes are opened."""
    with reporter:
        return reporter.encode(films[:1]).tobytes() + reporter.encode((films * 8)[:8]).tobytes()


def compiled(folder: CacheFolder) -> dict[int, CacheEntry]:
    """Entries by the number of films in a batch."""
    found = [(entry.record.compiled, entry) for entry in folder.entries()]
    return {made.how.films: entry for made, entry in found if made is not None}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that graphs were compiled for, since the test began."""
    sizes: list[int] = []
    original = openvino_models.compile_graph

    def watched(graph: Path, films: int, arithmetic: object) -> object:
        sizes.append(films)
        return original(graph, films, arithmetic)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino_models, "compile_graph", watched)
    return sizes


@pytest.fixture(autouse=True)
def only_what_is_right_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    original = openvino_models.read_compiled

    def watched(file: Path, *others: object) -> object:
        assert CacheRecord.read(file.parent).files[0].crc32 == crc32_of(file)
        return original(file, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(openvino_models, "read_compiled", watched)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the batches that were run since the test began."""
    sizes: list[int] = []
    original = CompiledGraph.run

    def watched(graph: CompiledGraph, outputs: tuple[str, ...], inputs: Mapping[str, Any]) -> Any:
        sizes.append(graph.films)
        return original(graph, outputs, inputs)

    monkeypatch.setattr(CompiledGraph, "run", watched)
    return sizes


def test_graphs_are_compiled_once(bundle: Path, folder: CacheFolder, films: Films, made: list[int]) -> None:
    first = features(load(bundle, folder), films)
    assert made == [1, 8]
    assert features(load(bundle, folder), films) == first
    assert features(load(bundle, folder, verify=False), films) == first
    assert made == [1, 8]
    for size, entry in compiled(folder).items():
        record = entry.record
        assert (record.engine, record.graph) == ("openvino", "encoder.onnx")
        assert record.compiled is not None
        assert record.compiled.how == Compilation(size, 1, "fp32")
        assert record.compiled.operations["f32"] > 0
        assert [file.name for file in record.files] == [MODEL_NAME]


def test_without_a_cache_they_are_compiled_at_each_load(bundle: Path, films: Films, made: list[int]) -> None:
    first, second = (
        features(cxrscribe.load(bundle, device="openvino", threads=1, cache=False), films) for _ in range(2)
    )
    assert first == second
    assert made == [1, 8, 1, 8]


def test_the_number_of_threads_and_the_precision_have_entries_of_their_own(
    bundle: Path, folder: CacheFolder, films: Films, made: list[int]
) -> None:
    load(bundle, folder).close()
    cxrscribe.load(bundle, device="openvino", cache=folder.path, threads=2).close()
    assert made == [1, 1]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("size", [1, 8])
def test_a_damaged_one_is_not_read_but_made_again(
    bundle: Path, folder: CacheFolder, films: Films, made: list[int], verify: bool, size: int
) -> None:
    right = features(load(bundle, folder), films)
    flip(compiled(folder)[size].model)
    del made[:]
    assert features(load(bundle, folder, verify=verify), films) == right
    assert made == [size]
    assert compiled(folder)[size].has_right_sums


def _of_another_version(record: CacheRecord) -> CacheRecord:
    return replace(record, build="2019.1")


def _of_another_processor(record: CacheRecord) -> CacheRecord:
    return replace(record, processor="abacus")


def _of_another_size(record: CacheRecord) -> CacheRecord:
    assert record.compiled is not None
    return replace(record, compiled=replace(record.compiled, how=Compilation(2, 1, "fp32")))


def _of_another_graph(record: CacheRecord) -> CacheRecord:
    return replace(record, sources=tuple(replace(each, sha256="0" * 64) for each in record.sources))


@pytest.mark.parametrize(
    "foreign", [_of_another_version, _of_another_processor, _of_another_size, _of_another_graph]
)
def test_one_that_is_for_something_else_is_not_read_but_made_again(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    made: list[int],
    foreign: Callable[[CacheRecord], CacheRecord],
) -> None:
    right = features(load(bundle, folder), films)
    entry = compiled(folder)[1]
    foreign(entry.record).write(entry.folder)
    del made[:]
    assert features(load(bundle, folder), films) == right
    assert made == [1]


def test_one_that_openvino_refuses_is_made_again(
    bundle: Path, folder: CacheFolder, films: Films, made: list[int]
) -> None:
    """Its checksum is right: it was written so."""
    right = features(load(bundle, folder), films)
    entry = compiled(folder)[1]
    entry.model.write_bytes(b"no model" * 100)
    record = replace(entry.record, files=(type(entry.record.files[0]).describe(entry.model),))
    record.write(entry.folder)
    del made[:]
    assert features(load(bundle, folder), films) == right
    assert 1 in made


def test_one_that_is_not_alike_is_not_used_from_the_cache_either(
    bundle: Path, folder: CacheFolder, films: Films, run: list[int]
) -> None:
    right = features(load(bundle, folder), films)
    record, made = compiled(folder)[8].record, compiled(folder)[8].record.compiled
    assert made is not None
    replace(record, compiled=replace(made, alike=False)).write(compiled(folder)[8].folder)
    del run[:]
    assert features(load(bundle, folder), films) == right
    assert run == [1] * 9


def test_a_full_disk_costs_time_only(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.sessions.openvino.CompiledGraph.write", no_space)
    found = features(load(bundle, folder), films)
    assert compiled(folder) == {}
    assert found == features(cxrscribe.load(bundle, device="openvino", threads=1, cache=False), films)


def test_they_are_listed_and_cleared(bundle: Path, folder: CacheFolder, films: Films) -> None:
    features(load(bundle, folder), films)
    assert set(compiled(folder)) == {1, 8}
    folder.clear()
    assert list(folder.path.iterdir()) == []
