"""Folders that can't be used cost the cache only."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import cxrscribe
from cxrscribe.errors import InputError
from cxrscribe.sessions.cache_folder import CacheFolder

from .cached import (
    GRAPHS,
    Films,
    flip_a_bit,
    forbid_plain_sessions,
    load,
    no_space,
    results,
)


def onnxruntime_fails(*_: object) -> None:
    raise RuntimeError("Failed to write external initializers to file")


@pytest.mark.parametrize(
    ("target", "failure"),
    [
        ("tempfile.mkdtemp", no_space),
        ("shutil.disk_usage", lambda path: SimpleNamespace(free=1000)),
        ("cxrscribe.sessions.cache.write_optimized", onnxruntime_fails),
        ("cxrscribe.sessions.cache_folder.CacheRecord.write", no_space),
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
        flip_a_bit(entry)
    monkeypatch.setattr("tempfile.mkdtemp", no_space)
    monkeypatch.setattr("pathlib.Path.unlink", no_space)
    assert results(load(bundle, folder), films) == right
    assert len(folder.entries()) == GRAPHS


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
    assert len(optimized) == GRAPHS
    assert folder.entries() == []


@pytest.mark.skipif("os.name != 'posix'", reason="there are no such rights here")
def test_folder_of_another_user_is_not_used(
    bundle: Path, folder: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(bundle, folder).close()
    os.chown(folder.path, 12345, -1) if os.geteuid() == 0 else monkeypatch.setattr(
        "os.geteuid", lambda: 12345
    )
    assert str(folder.problem).endswith("it belongs to another user")
    assert folder.entries() == []
    load(bundle, folder).close()
