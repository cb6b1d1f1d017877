"""`cxrscribe cache`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import cxrscribe

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("CXRSCRIBE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_folder_that_is_not_there_yet(run: Run, cache: Path) -> None:
    result = run("cache")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (
        f"folder   {cache}\nstate    in use from the next load on\ntotal    0 graphs, 0.0 MB\n"
    )
    assert not cache.exists()


def test_entries_are_listed(run: Run, cache: Path, small_bundle: Path) -> None:
    cxrscribe.load(small_bundle, device="cpu").close()
    result = run("cache")
    assert result.exit_code == 0
    assert "state    in use\n" in result.stdout
    for graph in ("encoder.onnx", "decoder_init.onnx", "decoder_step.onnx"):
        assert f"graph    {graph} of {small_bundle}\n" in result.stdout
    assert "total    3 graphs, " in result.stdout


def test_entries_as_json(run: Run, cache: Path, small_bundle: Path) -> None:
    import onnxruntime

    cxrscribe.load(small_bundle, device="cpu").close()
    next(cache.glob("*/graph.onnx")).write_bytes(b"")
    fields = json.loads(run("cache", "--json").stdout)
    assert fields["folder"] == str(cache)
    assert fields["state"] == "in use"
    assert {entry["bundle"] for entry in fields["entries"]} == {str(small_bundle)}
    assert all(entry["onnxruntime"].startswith(onnxruntime.__version__) for entry in fields["entries"])
    assert all(entry["bytes"] > 0 and entry["made"].endswith("Z") for entry in fields["entries"])
    assert sorted(entry["intact"] for entry in fields["entries"]) == [False, True, True]
    assert "DAMAGED" in run("cache").stdout


def test_clear_empties_it(run: Run, cache: Path, small_bundle: Path) -> None:
    cxrscribe.load(small_bundle, device="cpu").close()
    (cache / "notes.txt").write_text("mine")
    result = run("cache", "--clear")
    assert result.exit_code == 0
    assert result.stderr == f"3 graphs removed from {cache}\n"
    assert "total    0 graphs" in result.stdout
    assert [path.name for path in cache.iterdir()] == ["notes.txt"]


def test_clearing_what_can_not_be_removed_fails(
    run: Run, cache: Path, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cxrscribe.load(small_bundle, device="cpu").close()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    result = run("cache", "--clear")
    assert result.exit_code == 2
    assert f"{cache} can't be cleared" in result.stderr


def test_folder_that_is_not_used_says_why(run: Run, cache: Path) -> None:
    cache.write_text("no folder")
    assert "state    not used: it is not a folder\n" in run("cache").stdout


def test_folder_that_can_not_be_written_to_says_so(
    run: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    assert "state    read only" in run("cache").stdout


def test_user_without_a_home_is_told_what_to_set(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.sessions.cache_folder.default_folder", lambda: None)
    result = run("cache")
    assert result.exit_code == 2
    assert "set CXRSCRIBE_CACHE" in result.stderr


def test_it_needs_no_onnxruntime(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert run("cache", "--json").exit_code == 0
