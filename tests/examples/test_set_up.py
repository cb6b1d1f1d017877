"""What the tests of the examples build is kept, and what they need is there in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import kept_folder as kept
from support.skips import skip_or_fail


def test_a_folder_is_kept_where_one_can_be(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "BUILD", tmp_path / "build")
    assert kept.kept_folder("one", tmp_path_factory) == tmp_path / "build" / "one"
    assert list((tmp_path / "build" / "one").iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.setattr(kept, "BUILD", tmp_path / "file")
    other = kept.kept_folder("one", tmp_path_factory)
    assert other.is_dir()
    assert tmp_path not in other.parents


@pytest.mark.parametrize("in_ci", [False, True])
def test_what_is_missing_fails_in_ci_alone(monkeypatch: pytest.MonkeyPatch, in_ci: bool) -> None:
    monkeypatch.setenv("CI", "true" if in_ci else "")
    expected = pytest.fail.Exception if in_ci else pytest.skip.Exception
    with pytest.raises(expected, match="no strace"):
        skip_or_fail("no strace")
