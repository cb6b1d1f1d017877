"""A bundle's folder appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe_export.bundle_folder import check_out, new_bundle_folder


def bundle_at(path: Path, text: str = "{}") -> Path:
    path.mkdir()
    (path / "manifest.json").write_text(text)
    return path


def test_a_block_that_ends_well_leaves_the_folder(tmp_path: Path) -> None:
    with new_bundle_folder(tmp_path / "bundle") as folder:
        (folder / "manifest.json").write_text("{}")
        assert not (tmp_path / "bundle").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def begin_and_raise(out: Path, error: type[BaseException]) -> None:
    with new_bundle_folder(out) as folder:
        (folder / "encoder.onnx").write_bytes(b"half")
        raise error("no parity")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        begin_and_raise(tmp_path / "bundle", error)
    assert not list(tmp_path.iterdir())


def test_an_old_bundle_is_replaced_whole(tmp_path: Path) -> None:
    out = bundle_at(tmp_path / "bundle", "old")
    (out / "int8").mkdir()
    with new_bundle_folder(out) as folder:
        (folder / "manifest.json").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert [path.name for path in out.iterdir()] == ["manifest.json"]
    assert (out / "manifest.json").read_text() == "new"


def test_an_old_bundle_survives_a_failure(tmp_path: Path) -> None:
    out = bundle_at(tmp_path / "bundle", "old")
    with pytest.raises(ValueError, match="no parity"):
        begin_and_raise(out, ValueError)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    assert (out / "manifest.json").read_text() == "old"


def test_a_place_that_can_not_be_written_to_is_told_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InputError, match="can't be written to"):
        check_out(tmp_path / "bundle", overwrite=False)


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a bundle"):
        check_out(tmp_path, overwrite=True)


def test_a_bundle_is_replaced_only_when_asked(tmp_path: Path) -> None:
    out = bundle_at(tmp_path / "bundle")
    with pytest.raises(InputError, match="--overwrite"):
        check_out(out, overwrite=False)
    check_out(out, overwrite=True)


def test_files_links_and_missing_parents_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(bundle_at(tmp_path / "bundle"))
    with pytest.raises(InputError, match="not a folder"):
        check_out(tmp_path / "file", overwrite=True)
    with pytest.raises(InputError, match="not a folder"):
        check_out(tmp_path / "link", overwrite=True)
    with pytest.raises(InputError, match="not a folder; make it"):
        check_out(tmp_path / "absent" / "bundle", overwrite=True)


@pytest.mark.parametrize("out", [".", "..", "absent/.."])
def test_the_working_folder_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    (tmp_path / "outer" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "outer" / "here")
    with pytest.raises(InputError, match=r"this command runs in .*give a folder inside it"):
        check_out(Path(out), overwrite=False)


def test_a_mount_point_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_mount", lambda path: path == tmp_path)
    with pytest.raises(InputError, match="is a mount point"):
        check_out(tmp_path, overwrite=False)
    check_out(tmp_path / "bundle", overwrite=False)


def test_a_place_given_from_the_working_folder_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_out(Path("bundle"), overwrite=False)
    with new_bundle_folder(Path("bundle")) as folder:
        (folder / "manifest.json").write_text("{}")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_an_empty_or_absent_folder_will_do(tmp_path: Path) -> None:
    check_out(tmp_path / "bundle", overwrite=False)
    (tmp_path / "bundle").mkdir()
    check_out(tmp_path / "bundle", overwrite=False)
    with new_bundle_folder(tmp_path / "bundle") as folder:
        (folder / "manifest.json").write_text("{}")
    assert (tmp_path / "bundle" / "manifest.json").is_file()
