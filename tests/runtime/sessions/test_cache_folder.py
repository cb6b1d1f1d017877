"""The folder of optimized graphs: where it is, and what is removed from it."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cxrscribe.sessions.cache_folder import CacheFolder, default_folder
from cxrscribe.sessions.cache_record import GRAPH_NAME, CachedFile, CacheRecord, SourceFile, crc32_of

_DAY = 24 * 3600


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache")


def add(folder: CacheFolder, key: str, content: bytes = b"") -> None:
    """An entry with an empty graph, which is a valid ONNX file without weights."""
    with folder.adding(key) as scratch:
        graph = scratch / GRAPH_NAME
        graph.write_bytes(content or b"\x08\x08")
        record(CachedFile.describe(graph)).write(scratch)


def record(*files: CachedFile) -> CacheRecord:
    source = SourceFile("encoder.onnx", "0" * 64, 1)
    return CacheRecord("/bundle", "2026-01-02T03:04:05Z", "1.0", "some processor", (source,), files)


def test_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path))
    assert default_folder() == tmp_path


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {"XDG_CACHE_HOME": "/var/caches"}, "/var/caches/cxrscribe"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/someone/.cache/cxrscribe"),
        ("linux", {}, "/home/someone/.cache/cxrscribe"),
        ("darwin", {"XDG_CACHE_HOME": "/var/caches"}, "/home/someone/Library/Caches/cxrscribe"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/cxrscribe/Cache"),
        ("win32", {}, "/home/someone/AppData/Local/cxrscribe/Cache"),
    ],
)
def test_default_is_where_the_system_has_its_caches(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: str
) -> None:
    for name in ("CXRSCRIBE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("cxrscribe.sessions.cache_folder.sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/someone"))
    assert default_folder() == Path(expected)


def test_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("CXRSCRIBE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)
    assert default_folder() is None


def test_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / GRAPH_NAME).write_bytes(b"\x08\x08")
    written = record(CachedFile.describe(tmp_path / GRAPH_NAME))
    written.write(tmp_path)
    assert CacheRecord.read(tmp_path) == written


def test_checksum_of_a_file_longer_than_the_buffer(tmp_path: Path) -> None:
    import zlib

    content = os.urandom(700_001)
    (tmp_path / "file").write_bytes(content)
    assert crc32_of(tmp_path / "file") == zlib.crc32(content)


def test_new_folder_is_for_its_user_only(folder: CacheFolder) -> None:
    assert folder.problem is None
    assert folder.is_writable
    add(folder, "a")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert [entry.record.graph for entry in folder.entries()] == ["encoder.onnx"]


def test_block_that_fails_leaves_nothing(folder: CacheFolder) -> None:
    with suppress(ZeroDivisionError), folder.adding("a") as scratch:
        (scratch / GRAPH_NAME).write_bytes(b"half")
        raise ZeroDivisionError
    assert list(folder.path.iterdir()) == []


def test_second_entry_of_a_name_is_discarded_and_a_damaged_one_replaced(folder: CacheFolder) -> None:
    add(folder, "a")
    add(folder, "a", b"\x08\x09")
    (entry,) = folder.entries()
    assert entry.graph.read_bytes() == b"\x08\x08"
    entry.graph.write_bytes(b"\x08\x07")
    add(folder, "a", b"\x08\x09")
    (entry,) = folder.entries()
    assert entry.graph.read_bytes() == b"\x08\x09"
    assert len(list(folder.path.iterdir())) == 1


def test_clearing_removes_what_the_cache_has_made_and_nothing_else(
    folder: CacheFolder, tmp_path: Path
) -> None:
    add(folder, "a")
    add(folder, "b")
    (folder.path / "b.graph" / "notes.txt").write_text("mine")
    (folder.path / "notes.txt").write_text("mine")
    (folder.path / "folder").mkdir()
    (folder.path / ".making-x" / "made").mkdir(parents=True)
    (folder.path / ".making-x" / "made" / GRAPH_NAME).write_bytes(b"")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / GRAPH_NAME).write_bytes(b"")
    (folder.path / "link.graph").symlink_to(elsewhere)
    assert folder.clear() == 1
    left = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*")}
    assert left == {"b.graph", "b.graph/notes.txt", "notes.txt", "folder", "link.graph"}
    assert (elsewhere / GRAPH_NAME).exists()
    assert folder.entries() == []


def test_what_interrupted_processes_left_and_what_is_forgotten_goes_with_the_next_entry(
    folder: CacheFolder,
) -> None:
    add(folder, "forgotten")
    add(folder, "used")
    for name in (".making-old", ".making-now"):
        (folder.path / name).mkdir()
    now = time.time()
    os.utime(folder.path / ".making-old", (now, now - 2 * _DAY))
    os.utime(folder.path / "forgotten.graph" / "entry.json", (now, now - 91 * _DAY))
    os.utime(folder.path / "used.graph" / "entry.json", (now, now - 89 * _DAY))
    add(folder, "new")
    assert {path.name for path in folder.path.iterdir()} == {".making-now", "used.graph", "new.graph"}


def test_entry_that_is_used_is_not_forgotten(folder: CacheFolder) -> None:
    add(folder, "a")
    (entry,) = folder.entries()
    os.utime(entry.folder / "entry.json", (0, 0))
    folder.use(entry)
    add(folder, "b")
    assert len(folder.entries()) == 2


def test_linked_entry_is_not_read(folder: CacheFolder, tmp_path: Path) -> None:
    add(folder, "a")
    (folder.path / "a.graph").rename(tmp_path / "elsewhere")
    (folder.path / "a.graph").symlink_to(tmp_path / "elsewhere")
    assert folder.entry("a") is None
    assert folder.entries() == []


def test_folder_that_is_a_file_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = CacheFolder(tmp_path / "file")
    assert folder.problem == "it is not a folder"
    assert not folder.is_writable
    assert folder.entries() == []
    assert folder.clear() == 0
    assert not CacheFolder(tmp_path / "file" / "below").is_writable
