"""Bytes of planned films: those that were planned, or the reason why there are none."""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import OutOfResourcesError, QuarantinedError, StorageFaultError
from cxrscribe.archive.sources.disk import DiskFilms
from cxrscribe.archive.sources.listing import Sources
from cxrscribe.archive.sources.reading import FilmReader
from cxrscribe.errors import Reason
from support.archive_films import small_film, write_films, write_tar, write_zip

Waits = list[float]


def planned(*sources: Path) -> tuple[str, list[PlannedFilm]]:
    found = Sources([str(source) for source in sources])
    films = [PlannedFilm(row, **vars(film)) for row, film in enumerate(found.films())]
    return found.root, films


@pytest.fixture
def waits() -> Waits:
    return []


def failing(monkeypatch: pytest.MonkeyPatch, number: int, fails: Callable[[str, int], bool]) -> list[str]:
    """Let opening a film fail with this error where `fails`, which is given its name and the try's number."""
    tries: list[str] = []
    real = os.open

    def opened(path: str | Path, *rest: int) -> int:
        name = Path(path).name
        if name.endswith(".png"):
            tries.append(name)
            if fails(name, tries.count(name)):
                raise OSError(number, os.strerror(number))
        return real(path, *rest)

    monkeypatch.setattr(os, "open", opened)
    return tries


def reason_of(root: str, film: PlannedFilm) -> Reason:
    with FilmReader(root) as reader, pytest.raises(QuarantinedError) as caught:
        reader.read(film)
    assert film.film not in str(caught.value)
    assert root not in str(caught.value)
    return caught.value.reason


def test_film_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(small_film(0))
    root, (film,) = planned(tmp_path)
    with FilmReader(root) as reader:
        assert reader.read(film) == small_film(0)


@pytest.mark.parametrize("change", ["content", "time", "grown", "gone", "folder", "pipe"])
def test_film_that_is_not_what_was_planned_is_never_guessed(tmp_path: Path, change: str) -> None:
    path = tmp_path / "films" / "a.png"
    path.parent.mkdir()
    path.write_bytes(small_film(0))
    (tmp_path / "films" / "b.png").write_bytes(small_film(1))
    root, films = planned(tmp_path / "films")
    before = path.stat()
    path.unlink()
    if change == "content":
        path.write_bytes(small_film(2))
    elif change == "time":
        path.write_bytes(small_film(0))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    elif change == "grown":
        path.write_bytes(small_film(0) + b"x")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "folder":
        path.mkdir()
    elif change == "pipe":
        os.mkfifo(path)
    expected = {"gone": Reason.MISSING, "folder": Reason.UNREADABLE, "pipe": Reason.UNREADABLE}
    assert reason_of(root, films[0]) is expected.get(change, Reason.CHANGED)


def test_film_that_a_list_names_and_that_was_never_there_is_missing(tmp_path: Path) -> None:
    (tmp_path / "b.png").write_bytes(small_film(1))
    film = PlannedFilm(0, "a.png", -1, "absent")
    assert reason_of(str(tmp_path), film) is Reason.MISSING
    (tmp_path / "a.png").write_bytes(small_film(0))
    assert reason_of(str(tmp_path), film) is Reason.CHANGED


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.zip"])
def test_archive_that_changed_is_not_read(tmp_path: Path, name: str) -> None:
    def write(content: bytes) -> None:
        if name == "a.zip":
            write_zip(tmp_path / name, {"a.png": content})
        else:
            write_tar(tmp_path / name, {"a.png": content}, "w:gz" if name.endswith("gz") else "w")

    write(small_film(0))
    os.utime(tmp_path / name, (1, 1))
    root, (film,) = planned(tmp_path)
    write(small_film(1))
    assert reason_of(root, film) is Reason.CHANGED
    (tmp_path / name).unlink()
    (tmp_path / "other").write_bytes(b"")
    assert reason_of(root, film) is Reason.MISSING


def test_damaged_member_of_a_zip_is_not_a_film(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.png": small_film(0)})
    root, (film,) = planned(archive)
    content = bytearray(archive.read_bytes())
    content[100] ^= 1
    archive.write_bytes(content)
    assert reason_of(root, film) is Reason.UNREADABLE


def test_encrypted_member_is_named_as_such(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.png": small_film(0)})
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as opened:
        directory = opened.start_dir
    content[6] |= 1
    content[directory + 8] |= 1
    archive.write_bytes(content)
    root, (film,) = planned(archive)
    assert reason_of(root, film) is Reason.UNSUPPORTED


def test_member_that_claims_to_be_huge_is_not_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": small_film(0)})
    root, (film,) = planned(tmp_path)
    huge = PlannedFilm(0, film.film, (1 << 30) + 1, film.stamp, film.archive)
    assert reason_of(root, huge) is Reason.TOO_LARGE


def test_unlisted_archive_says_that_films_may_be_missing(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", {"a.png": small_film(0)})
    with (tmp_path / "a.tar").open("r+b") as file:
        file.truncate(700)
    root, films = planned(tmp_path)
    assert [film.film for film in films] == ["a.tar!/a.png", "a.tar"]
    assert reason_of(root, films[0]) is Reason.TRUNCATED
    assert reason_of(root, films[1]) is Reason.UNREADABLE


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_fault_that_passes_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: Waits, number: int
) -> None:
    (tmp_path / "a.png").write_bytes(small_film(0))
    root, (film,) = planned(tmp_path)
    failing(monkeypatch, number, lambda _, tries: tries < 5)
    with FilmReader(root, waits.append) as reader:
        assert reader.read(film) == small_film(0)
    assert len(waits) == 4
    assert waits == sorted(waits)


def test_fault_of_all_films_is_the_storages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(small_film(0))
    root, films = planned(tmp_path)
    tries = failing(monkeypatch, errno.EIO, lambda *_: True)
    with (
        FilmReader(root, waits.append) as reader,
        pytest.raises(StorageFaultError, match="Input/output error"),
    ):
        reader.read(films[0], films[1:])
    assert tries == ["a.png"] * 5 + ["b.png"]


def test_fault_of_one_film_among_good_ones_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(small_film(0))
    root, films = planned(tmp_path)
    failing(monkeypatch, errno.EIO, lambda name, _: name == "a.png")
    with (
        FilmReader(root, waits.append) as reader,
        pytest.raises(QuarantinedError, match="though others can") as caught,
    ):
        reader.read(films[0], films[1:])
    assert caught.value.reason is Reason.UNREADABLE


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_what_the_machine_lacks_is_never_a_films_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: Waits, number: int
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(small_film(0))
    root, films = planned(tmp_path)
    failing(monkeypatch, number, lambda name, _: name == "a.png")
    with FilmReader(root, waits.append) as reader, pytest.raises(OutOfResourcesError):
        reader.read(films[0], films[1:])
    assert len(waits) == 4


def test_film_that_may_not_be_read_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    (tmp_path / "a.png").write_bytes(small_film(0))
    root, (film,) = planned(tmp_path)
    failing(monkeypatch, errno.EACCES, lambda *_: True)
    with FilmReader(root, waits.append) as reader, pytest.raises(QuarantinedError, match="check its rights"):
        reader.read(film)
    assert waits == []


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_root_that_is_not_mounted_is_a_fault(tmp_path: Path, waits: Waits, how: str) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "a.png").write_bytes(small_film(0))
    root, (film,) = planned(folder)
    (folder / "a.png").unlink()
    if how == "gone":
        folder.rmdir()
    with (
        FilmReader(root, waits.append) as reader,
        pytest.raises(StorageFaultError, match="all folders are gone"),
    ):
        reader.read(film)
    assert len(waits) == 4


def test_few_archives_are_kept_open(tmp_path: Path) -> None:
    for number in range(8):
        write_tar(tmp_path / f"{number}.tar", {"a.png": small_film(number)})
    root, films = planned(tmp_path)
    store = DiskFilms(root)
    for film in [*films, *reversed(films)]:
        assert store.read(film) == small_film(film.row)
        assert len(store._archives) <= 4
    store.close()


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_archive_of_the_same_time_and_other_content_is_another_one(tmp_path: Path, name: str) -> None:
    mode = "w:gz" if name.endswith("gz") else "w"
    path = write_tar(tmp_path / name, {"0.png": small_film(0), "1.png": small_film(1)}, mode)
    before = path.stat()
    root, (first, _) = planned(path)
    other = {"9.png": small_film(0)[:-1] + b"x", "1.png": small_film(1)}
    write_tar(path, other, mode)
    if path.stat().st_size == before.st_size:  # of a tar: its blocks are as many
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert reason_of(root, first) == Reason.CHANGED


def test_disk_that_is_lost_below_the_root_is_a_fault(tmp_path: Path, waits: Waits) -> None:
    write_films(tmp_path / "disk1", 2)
    write_films(tmp_path / "disk2", 2)
    root, films = planned(tmp_path)
    for path in sorted((tmp_path / "disk1").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with FilmReader(root, waits.append) as reader:
        with pytest.raises(StorageFaultError, match="its folder is empty"):
            reader.read(films[0])
        reader.read(films[2])
        (tmp_path / "disk2" / "000" / "00000.png").unlink()
        with pytest.raises(QuarantinedError, match="does not exist any more"):
            reader.read(films[2])
