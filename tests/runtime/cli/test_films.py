"""Which films a command line means."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest

from cxrscribe.cli.films import FilmArguments, stdin_lines
from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.film import read_film


def found(*arguments: object, stdin: bytes = b"") -> list[str]:
    return list(FilmArguments([str(argument) for argument in arguments], stdin.splitlines(keepends=True)))


def test_file_stands_for_itself_whatever_its_suffix(films: Path) -> None:
    assert found(films / "readme.txt", films / "none.png") == [
        str(films / "readme.txt"),
        str(films / "none.png"),
    ]


def test_folder_is_searched_for_films_at_any_depth(films: Path) -> None:
    expected = [str(films / name) for name in ("a.png", "b.jpg", "nested/c.PNG")]
    assert found(films) == expected
    assert found(f"{films}/") == expected


def test_dicom_without_a_suffix_is_found_by_how_it_begins(tmp_path: Path) -> None:
    begins = bytes(128) + b"DICM"
    for name, content in (
        ("IM000001", begins),
        ("1.2.840.113619.2.5", begins),
        ("DICOMDIR", begins),
        (".hidden", begins),
        ("README", b"text"),
        ("notes.txt", begins),
    ):
        (tmp_path / name).write_bytes(content)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    assert found(tmp_path) == [str(tmp_path / "1.2.840.113619.2.5"), str(tmp_path / "IM000001")]


def test_glob(films: Path) -> None:
    assert found(films / "*.png") == [str(films / "a.png")]
    assert found(films / "[ab].*") == [str(films / "a.png"), str(films / "b.jpg")]
    assert found(films / "**" / "*.PNG") == [str(films / "nested/c.PNG")]
    assert found(films / "nes*") == [str(films / "nested/c.PNG")]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two patients with a study each, and a folder without films."""
    for film in ("p1/study1/a.png", "p1/study2/b.png", "p2/deep/study1/c.dcm", "empty/readme.txt"):
        path = tmp_path / "archive" / film
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "archive"


def test_folder_that_a_glob_of_any_depth_matches_stands_for_its_films(archive: Path) -> None:
    assert found(archive / "**" / "study1") == [
        str(archive / "p1/study1/a.png"),
        str(archive / "p2/deep/study1/c.dcm"),
    ]


def test_glob_gives_no_film_twice(archive: Path) -> None:
    films = ["p1/study1/a.png", "p1/study2/b.png", "p2/deep/study1/c.dcm"]
    readme = str(archive / "empty/readme.txt")  # matched by name, and not for its suffix
    assert sorted(found(archive / "**")) == sorted([*(str(archive / film) for film in films), readme])
    arguments = FilmArguments([str(archive / "*")], [])
    assert list(arguments) == [str(archive / film) for film in films]
    assert arguments.unmatched == {}


def test_links_to_folders_are_followed_once_and_not_in_circles(archive: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "z.png").touch()
    (archive / "link").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(tmp_path)
    (archive / "p1" / "circle").symlink_to(archive)
    names = [Path(film).name for film in found(archive)]
    assert sorted(names) == ["a.png", "b.png", "c.dcm", "z.png"]


def test_film_that_is_a_broken_link_is_left_to_the_reader(archive: Path) -> None:
    (archive / "gone.png").symlink_to("nowhere.png")
    assert str(archive / "gone.png") in found(archive)


@pytest.mark.parametrize("locked", ["p1", ""])
def test_folder_that_can_not_be_searched_is_named(
    archive: Path, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    listed = os.scandir

    def refuse(path: str) -> object:
        if Path(path) == archive / locked:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refuse)
    arguments = FilmArguments([str(archive)], [])
    assert list(arguments) == ([str(archive / "p2/deep/study1/c.dcm")] if locked else [])
    ((folder, error),) = arguments.unmatched.items()
    assert Path(folder) == archive / locked
    assert str(error) == f"{folder}: can't be searched (Permission denied); check its rights"


@pytest.fixture
def forbidden(archive: Path) -> Iterator[Path]:
    """The archive, which this process may not look into."""
    archive.chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)  # nobody, whom pytest's own folder keeps out as well
    yield archive
    if is_root:
        os.seteuid(0)
    archive.chmod(0o755)


def test_what_nobody_may_look_into_is_left_to_the_reader(forbidden: Path) -> None:
    film = forbidden / "p1" / "study1" / "a.png"
    assert found(film) == [str(film)]
    with pytest.raises(FilmError, match=r"a\.png: can't be opened \(Permission denied\)"):
        read_film(film)


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\0b.png"])
def test_impossible_name_is_left_to_the_reader(name: str) -> None:
    assert found(name) == [name]


def test_file_with_a_globs_characters_is_a_file(tmp_path: Path) -> None:
    film = tmp_path / "film[1].png"
    film.touch()
    assert found(film) == [str(film)]


def test_dash_reads_paths_from_stdin_as_they_come() -> None:
    def endless() -> object:
        number = 0
        while True:
            yield b"film %d.png\r\n\n" % number if number % 2 else b"film %d.png\n" % number
            number += 1

    paths = iter(FilmArguments(["-"], endless()))  # type: ignore[arg-type]
    assert next(paths) == "film 0.png"


def test_stdin_with_blank_lines_and_names_that_are_not_utf_8() -> None:
    assert found("-", stdin=b"a.png\r\n\n \xff.png\nlast.png") == [
        "a.png",
        os.fsdecode(b" \xff.png"),
        "last.png",
    ]


@pytest.mark.parametrize(("arguments", "is_endless"), [(["a.png"], False), (["a.png", "-"], True)])
def test_is_endless(arguments: list[str], is_endless: bool) -> None:
    assert FilmArguments(arguments, []).is_endless is is_endless


def test_what_gives_no_film_is_kept_with_the_reason(tmp_path: Path) -> None:
    arguments = FilmArguments([str(tmp_path), str(tmp_path / "*.png")], [])
    assert list(arguments) == []
    folder, pattern = arguments.unmatched.values()
    assert str(folder).startswith(f"{tmp_path}: holds no file")
    assert str(pattern) == f"{tmp_path / '*.png'}: matches no film; check the pattern"


def test_stdin_that_can_not_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[bytes]:
        raise OSError(5, "Input/output error")
        yield b""

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(b"a\nb")))
    assert list(stdin_lines()) == [b"a\n", b"b"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=broken())))
    with pytest.raises(InputError, match="stdin can't be read"):
        list(stdin_lines())
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="stdin is closed"):
        list(stdin_lines())
