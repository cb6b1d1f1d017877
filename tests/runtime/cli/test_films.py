"""Which films a command line means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cxrscribe.cli.films import FilmArguments


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


def test_glob(films: Path) -> None:
    assert found(films / "*.png") == [str(films / "a.png")]
    assert found(films / "[ab].*") == [str(films / "a.png"), str(films / "b.jpg")]
    assert found(films / "**" / "*.PNG") == [str(films / "nested/c.PNG")]
    assert found(films / "nes*") == [str(films / "nested/c.PNG")]


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
    assert str(pattern) == f"{tmp_path / '*.png'}: matches no file; check the pattern"
