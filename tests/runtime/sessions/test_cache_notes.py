"""Notes in the cache's folder: read back, not believed where others could write, and cleared with it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cxrscribe.sessions.cache_folder import CacheFolder
from cxrscribe.sessions.cache_notes import CacheNotes


@pytest.fixture
def folder(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "some" / "cache")


def test_a_note_is_read_back(folder: CacheFolder) -> None:
    notes = CacheNotes(folder)
    assert notes.read("here") is None
    assert notes.write("here", {"a": [1, "ä"]})
    found = notes.read("here")
    assert found is not None
    assert found.value("a") == [1, "ä"]
    assert notes.write("here", {"a": 2})
    found = notes.read("here")
    assert found is not None
    assert found.integer("a") == 2
    assert len(list(folder.path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[1]", b'{"a": 1', b'{"a": 1, "a": 2}'])
def test_what_is_no_note_is_none(folder: CacheFolder, content: bytes) -> None:
    notes = CacheNotes(folder)
    assert notes.write("here", {})
    (folder.path / "here.note").write_bytes(content)
    assert notes.read("here") is None


@pytest.mark.skipif(sys.platform == "win32", reason="rights are lists there")
def test_a_note_that_others_may_write_to_is_none(folder: CacheFolder) -> None:
    notes = CacheNotes(folder)
    assert notes.write("here", {})
    (folder.path / "here.note").chmod(0o666)
    assert notes.read("here") is None


@pytest.mark.skipif(sys.platform == "win32", reason="rights are lists there")
def test_nothing_goes_into_a_folder_that_others_may_write_to(folder: CacheFolder) -> None:
    folder.path.mkdir(parents=True)
    folder.path.chmod(0o777)
    notes = CacheNotes(folder)
    assert not notes.write("here", {})
    with notes.alone("here", 0.1):
        pass
    assert list(folder.path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="making links is a privilege there")
def test_a_link_in_the_place_of_a_lock_is_not_followed(folder: CacheFolder, tmp_path: Path) -> None:
    folder.make()
    target = tmp_path / "target"
    (folder.path / "here.lock.note").symlink_to(target)
    with CacheNotes(folder).alone("here", 0.1):
        assert not target.exists()


def test_where_no_folder_can_be_nobody_waits(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    notes = CacheNotes(CacheFolder(tmp_path / "file"))
    assert not notes.write("here", {})
    assert notes.read("here") is None
    with notes.alone("here", 60):
        pass


def test_a_lock_is_waited_for_but_not_forever(folder: CacheFolder) -> None:
    begun = time.monotonic()
    with CacheNotes(folder).alone("here", 1), CacheNotes(folder).alone("here", 0.2):
        assert time.monotonic() - begun >= 0.2


def test_clearing_the_cache_takes_notes_and_leaves_the_rest(folder: CacheFolder) -> None:
    notes = CacheNotes(folder)
    assert notes.write("here", {})
    with notes.alone("here", 0.1):
        pass
    (folder.path / "mine.txt").write_text("stays", encoding="utf-8")
    folder.clear()
    assert [file.name for file in folder.path.iterdir()] == ["mine.txt"]


def test_it_is_tried_whether_a_note_can_be_written(
    folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = CacheNotes(folder)
    assert notes.try_to_write()
    assert list(folder.path.iterdir()) == []

    def full(*_: object, **__: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    assert not notes.try_to_write()


def test_what_an_interrupted_write_left_is_no_note_and_goes_after_a_day(folder: CacheFolder) -> None:
    notes = CacheNotes(folder)
    assert notes.write("fastest-1", {})
    left, old = folder.path / ".making-x.note", folder.path / "fastest-2.note"
    for file, days in ((left, 2), (old, 100)):
        file.write_text("{}", encoding="utf-8")
        then = time.time() - days * 24 * 3600
        os.utime(file, (then, then))
    assert notes.names("fastest-") == ["fastest-1", "fastest-2"]
    with folder.adding("entry"):
        pass
    assert notes.names("") == ["fastest-1"]
