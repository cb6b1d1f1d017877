from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe import demo_bundle, demo_films
from cxrscribe import embedded as demo
from cxrscribe.errors import BundleError, InputError


def test_installation_without_demo_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_folder", lambda name: tmp_path / name)
    with pytest.raises(BundleError, match="demo bundle is not at"):
        demo_bundle()
    with pytest.raises(InputError, match="no sample films"):
        demo_films()


def test_demo_is_found_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PACKAGE", tmp_path)
    (tmp_path / "demo" / "bundle").mkdir(parents=True)
    (tmp_path / "demo" / "films").mkdir()
    for name in ("b.png", "a.png", "notes.txt"):
        (tmp_path / "demo" / "films" / name).touch()
    assert demo_bundle() == tmp_path / "demo" / "bundle"
    assert [film.name for film in demo_films()] == ["a.png", "b.png"]
