"""Graphs from the cache: the same to the bit, made anew where anything is wrong, never a reason to fail."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import graph_cache, native_session, session
from cxrscribe.bundle import ENCODER, Bundle
from cxrscribe.cache_folder import CacheEntry, CacheFolder
from cxrscribe.errors import BundleError, InputError
from cxrscribe.graph_cache import GraphCache, cache_key
from cxrscribe.graph_source import GraphSource
from support.small_bundle import SmallBundle

Films = list[NDArray[np.uint8]]
_GRAPHS = 3
_PROCESSES = 4


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Large enough for weights in a file of their own, and with external data of its own."""
    return SmallBundle(hidden=40, external_data=True).write(tmp_path / "bundle")


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache")


def load(bundle: Path, folder: CacheFolder, verify: bool = True) -> cxrscribe.Reporter:
    return cxrscribe.load(bundle, device="cpu", cache=folder.path, verify=verify)


def results(reporter: cxrscribe.Reporter, films: Films) -> tuple[bytes, list[object]]:
    """Features to the bit, and reports with all their numbers."""
    with reporter:
        return reporter.encode(films).tobytes(), list(reporter.report_batch(films))


def entry_of(bundle: Path, folder: CacheFolder, name: str = ENCODER) -> CacheEntry:
    entry = folder.entry(cache_key(GraphSource(Bundle.open(bundle), name)))
    assert entry is not None
    return entry


@pytest.fixture
def optimized(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the graphs that are optimized from now on."""
    names: list[str] = []
    write = native_session.write_optimized

    def spy(graph: Path, *others: object) -> None:
        names.append(graph.name)
        write(graph, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(graph_cache, "write_optimized", spy)
    return names


def forbid_plain_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a graph was opened without the cache")

    monkeypatch.setattr(session, "open_native", fail)


def test_graphs_are_optimized_once(
    bundle: Path, folder: CacheFolder, films: Films, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_plain_sessions(monkeypatch)
    first = results(load(bundle, folder), films)
    assert len(optimized) == len(folder.entries()) == _GRAPHS
    assert results(load(bundle, folder), films) == first
    assert len(optimized) == _GRAPHS


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
    assert len(CacheFolder(tmp_path / "named").entries()) == _GRAPHS


def test_other_onnxruntime_makes_other_entries(
    bundle: Path, folder: CacheFolder, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    monkeypatch.setattr("onnxruntime.__version__", "99.0")
    load(bundle, folder).close()
    assert len(optimized) == len(folder.entries()) == 2 * _GRAPHS


def test_other_processor_makes_other_entries(
    bundle: Path, folder: CacheFolder, optimized: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    monkeypatch.setattr(graph_cache, "processor", lambda: "another one")
    load(bundle, folder).close()
    assert len(optimized) == len(folder.entries()) == 2 * _GRAPHS


def test_other_weights_under_the_same_graph_make_other_entries(
    tmp_path: Path, folder: CacheFolder, films: Films
) -> None:
    """Two bundles may share a graph that keeps its weights in a file beside it."""
    first = SmallBundle(hidden=40, external_data=True).write(tmp_path / "first")
    second = SmallBundle(hidden=40, external_data=True, seed=1).write(tmp_path / "second")
    steps = [GraphSource(Bundle.open(path), "decoder_step.onnx") for path in (first, second)]
    assert cache_key(steps[0]) != cache_key(steps[1])
    for path in (first, second, first):
        assert results(load(path, folder), films) == results(
            cxrscribe.load(path, device="cpu", cache=False), films
        )
    assert len(folder.entries()) == 2 * _GRAPHS


def truncate(entry: CacheEntry) -> None:
    file = entry.folder / "weights.data"
    file.write_bytes(file.read_bytes()[:-1])


def flip_a_bit_of_the_weights(entry: CacheEntry) -> None:
    flip(entry.folder / "weights.data")


def flip_a_bit_of_the_graph(entry: CacheEntry) -> None:
    flip(entry.graph)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def remove_the_weights(entry: CacheEntry) -> None:
    (entry.folder / "weights.data").unlink()


def remove_the_graph(entry: CacheEntry) -> None:
    entry.graph.unlink()


def remove_the_record(entry: CacheEntry) -> None:
    (entry.folder / "entry.json").unlink()


def garble_the_record(entry: CacheEntry) -> None:
    (entry.folder / "entry.json").write_text("{")


def claim_another_graph(entry: CacheEntry) -> None:
    edit_record(entry, lambda fields: fields["sources"][0].update(sha256="0" * 64))


def claim_another_processor(entry: CacheEntry) -> None:
    edit_record(entry, lambda fields: fields.update(processor="another one"))


def claim_weights_outside(entry: CacheEntry) -> None:
    edit_record(
        entry, lambda fields: fields["sources"].append({"path": "../x", "sha256": "0" * 64, "mtime_ns": 0})
    )


def put_a_link_in_place_of_the_weights(entry: CacheEntry) -> None:
    elsewhere = entry.folder.parent.parent / "elsewhere.data"
    shutil.move(entry.folder / "weights.data", elsewhere)
    (entry.folder / "weights.data").symlink_to(elsewhere)


def take_weights_from_outside(entry: CacheEntry) -> None:
    """What a hostile graph would do. Its record fits it."""
    import onnx

    shutil.copy(entry.folder / "weights.data", entry.folder.parent / "outside.data")
    model = onnx.load(entry.graph, load_external_data=False)
    for tensor in model.graph.initializer:
        for field in tensor.external_data:
            if field.key == "location":
                field.value = "../outside.data"
    entry.graph.write_bytes(model.SerializeToString())
    size, checksum = entry.graph.stat().st_size, graph_checksum(entry.graph)
    edit_record(entry, lambda fields: fields["files"][0].update(bytes=size, crc32=checksum))


def graph_checksum(file: Path) -> int:
    from cxrscribe.cache_record import crc32_of

    return crc32_of(file)


def edit_record(entry: CacheEntry, change: Callable[[dict[str, object]], object]) -> None:
    file = entry.folder / "entry.json"
    fields = json.loads(file.read_text())
    change(fields)
    file.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip_a_bit_of_the_weights,
        flip_a_bit_of_the_graph,
        remove_the_weights,
        remove_the_graph,
        remove_the_record,
        garble_the_record,
        claim_another_graph,
        claim_another_processor,
        claim_weights_outside,
        put_a_link_in_place_of_the_weights,
        take_weights_from_outside,
    ],
)
def test_damaged_or_hostile_entry_is_not_used_and_made_anew(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    optimized: list[str],
    damage: Callable[[CacheEntry], None],
) -> None:
    right = results(load(bundle, folder), films)
    entry = entry_of(bundle, folder, "decoder_step.onnx")
    damage(entry)
    optimized.clear()
    assert results(load(bundle, folder), films) == right
    assert optimized == ["decoder_step.onnx"]
    assert results(load(bundle, folder), films) == right
    assert optimized == ["decoder_step.onnx"]
    assert len(folder.entries()) == _GRAPHS
    assert not list(folder.path.glob(".making-*"))


@pytest.mark.parametrize("damage", [truncate, remove_the_graph, garble_the_record, take_weights_from_outside])
def test_sizes_and_names_are_checked_without_verification_too(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    optimized: list[str],
    damage: Callable[[CacheEntry], None],
) -> None:
    right = results(load(bundle, folder), films)
    damage(entry_of(bundle, folder, "decoder_step.onnx"))
    optimized.clear()
    assert results(load(bundle, folder, verify=False), films) == right
    assert optimized == ["decoder_step.onnx"]


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
    assert len(optimized) == _GRAPHS


def no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def onnxruntime_fails(*_: object) -> None:
    raise RuntimeError("Failed to write external initializers to file")


@pytest.mark.parametrize(
    ("target", "failure"),
    [
        ("tempfile.mkdtemp", no_space),
        ("shutil.disk_usage", lambda path: SimpleNamespace(free=1000)),
        ("cxrscribe.graph_cache.write_optimized", onnxruntime_fails),
        ("cxrscribe.cache_record.CacheRecord.write", no_space),
    ],
)
def test_full_disk_costs_the_cache_only(
    bundle: Path,
    folder: CacheFolder,
    films: Films,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    failure: Callable[..., None],
) -> None:
    right = results(cxrscribe.load(bundle, device="cpu", cache=False), films)
    with monkeypatch.context() as broken:
        broken.setattr(target, failure)
        assert results(load(bundle, folder), films) == right
    assert list(folder.path.iterdir()) == []


def test_folder_that_can_not_be_made_costs_the_cache_only(bundle: Path, tmp_path: Path, films: Films) -> None:
    (tmp_path / "file").write_text("no folder")
    right = results(cxrscribe.load(bundle, device="cpu", cache=False), films)
    assert results(load(bundle, CacheFolder(tmp_path / "file")), films) == right
    assert results(load(bundle, CacheFolder(tmp_path / "file" / "below")), films) == right


def test_read_only_folder_is_used_as_it_is(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = results(load(bundle, folder), films)
    forbid_plain_sessions(monkeypatch)
    monkeypatch.setattr("tempfile.mkdtemp", no_space)
    monkeypatch.setattr("os.utime", no_space)
    assert results(load(bundle, folder), films) == right


def test_damaged_entry_in_a_read_only_folder_is_not_used(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = results(load(bundle, folder), films)
    for entry in folder.entries():
        flip_a_bit_of_the_weights(entry)
    monkeypatch.setattr("tempfile.mkdtemp", no_space)
    monkeypatch.setattr("pathlib.Path.unlink", no_space)
    assert results(load(bundle, folder), films) == right
    assert len(folder.entries()) == _GRAPHS


def test_empty_name_of_a_folder_is_refused(bundle: Path) -> None:
    with pytest.raises(InputError, match="cache is ''"):
        cxrscribe.load(bundle, device="cpu", cache="")


@pytest.mark.skipif("os.name != 'posix'", reason="there are no such rights here")
def test_folder_that_others_may_write_to_is_not_used(
    bundle: Path, folder: CacheFolder, optimized: list[str]
) -> None:
    load(bundle, folder).close()
    folder.path.chmod(0o777)
    load(bundle, folder).close()
    assert len(optimized) == _GRAPHS
    assert folder.entries() == []


@pytest.mark.skipif("os.name != 'posix'", reason="there are no such rights here")
def test_folder_of_another_user_is_not_used(
    bundle: Path, folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    os.chown(folder.path, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(
        "os.geteuid", lambda: 12345
    )
    assert folder.problem == "it belongs to another user"
    assert folder.entries() == []
    load(bundle, folder).close()


_WORK = """
import sys, time
import cxrscribe
bundle, cache, film, begin = sys.argv[1:]
time.sleep(max(0.0, float(begin) - time.time()))
with cxrscribe.load(bundle, device="cpu", cache=cache) as reporter:
    report = reporter.report(film)
print(report.tokens, report.log_prob)
"""


def test_processes_that_start_at_once_agree(
    bundle: Path, folder: CacheFolder, films: Films, tmp_path: Path
) -> None:
    """All of them find an empty folder, and each makes every entry or takes another's."""
    import time

    from PIL import Image

    Image.fromarray(films[0]).save(tmp_path / "film.png")
    command = [sys.executable, "-c", _WORK, bundle, folder.path, tmp_path / "film.png", time.time() + 1.5]
    started = [
        subprocess.Popen(
            [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(_PROCESSES)
    ]
    said = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0] * _PROCESSES, said
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        report = reporter.report(films[0])
    assert {output.strip() for output, _ in said} == {f"{report.tokens} {report.log_prob}"}
    assert {errors for _, errors in said} == {""}
    assert len(folder.entries()) == _GRAPHS
    assert all(entry.intact and entry.has_right_sums for entry in folder.entries())
    assert len(list(folder.path.iterdir())) == _GRAPHS


def test_who_comes_second_takes_what_the_first_has_made(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = results(cxrscribe.load(bundle, device="cpu", cache=False), films)
    write, made = native_session.write_optimized, []

    def slow(graph: Path, *others: object) -> None:
        write(graph, *others)  # type: ignore[arg-type]
        if graph.name not in made:  # meanwhile another process makes the same entry
            made.append(graph.name)
            source = GraphSource(Bundle.open(bundle), graph.name)
            assert GraphCache(folder).make(source, source.files(), others[0]) is not None  # type: ignore[arg-type]

    monkeypatch.setattr(graph_cache, "write_optimized", slow)
    assert results(load(bundle, folder), films) == right
    assert len(made) == len(folder.entries()) == len(list(folder.path.iterdir())) == _GRAPHS


def test_entry_that_vanishes_while_it_is_opened_is_made_anew(
    bundle: Path, folder: CacheFolder, films: Films, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`cxrscribe cache --clear` may run at any time."""
    right = results(load(bundle, folder), films)
    opened, cleared = session.open_optimized, []

    def clearing(graph: Path, *others: object) -> object:
        if not cleared:
            cleared.append(folder.clear())
        return opened(graph, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(session, "open_optimized", clearing)
    assert results(load(bundle, folder), films) == right
    assert cleared == [_GRAPHS]
    assert len(folder.entries()) == _GRAPHS
