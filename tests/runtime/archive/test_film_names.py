"""Rows that name nobody: hashes in the place of paths, which only the owner of the key can make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cxrscribe.archive import Run, open_run, score_shards
from cxrscribe.archive.attempts import begin_attempt
from cxrscribe.archive.comparison import newest_rows
from cxrscribe.archive.export import export
from cxrscribe.archive.film_names import FilmNames, read_film_names
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.supervisor import Assignment, supervise
from cxrscribe.archive.verify import verify
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError
from cxrscribe.reporter import Reporter

Begin = Callable[..., Run]
FILM = PlannedFilm(0, "Doe_Jane/\udcff.png", 1, "7")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("0123456789abcdef0123456789abcdef\n")
    return path


def test_without_a_key_names_are_paths() -> None:
    names = read_film_names(None)
    assert (names.text(FILM), names.film_id(FILM), names.check) == ("Doe_Jane/\\xff.png", FILM.film_id, "")


def test_with_a_key_they_are_hashes_of_it_and_the_path(key: Path) -> None:
    names = read_film_names(key)
    other = FilmNames(b"another key of 32 bytes, or so..")
    assert names.text(FILM) == names.film_id(FILM).hex() == read_film_names(key).text(FILM)
    assert len({names.film_id(FILM), other.film_id(FILM), FILM.film_id}) == 3
    assert names.film_id(FILM) != names.film_id(PlannedFilm(0, "Doe_Jane/x.png", 1, "7"))
    assert names.check != other.check
    assert "0123456789" not in repr(names)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 65])
def test_key_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(InputError, match=r"key holds .* bytes, not a key of 16 to 64"):
        read_film_names(tmp_path / "key")
    with pytest.raises(InputError, match="can't be read"):
        read_film_names(tmp_path / "nothing")


def test_no_path_is_in_the_parts_of_such_a_run(
    begin: Begin, archive: Path, key: Path, reporter: Reporter, tmp_path: Path
) -> None:
    run = begin(archive, key_file=key)
    for _ in range(2):
        begin_attempt(run.generation(), 1)  # this one is scored in processes of its own
    list(score_shards(run, [0, 1], reporter))
    list(supervise(Assignment(run, Engine.of(reporter)), [2], 1))
    names = read_film_names(key)
    for film, row in newest_rows(run):
        assert (row.film, row.film_id) == (names.text(film), names.film_id(film))
    export(run, tmp_path / "all.jsonl")
    assert ".png" not in (tmp_path / "all.jsonl").read_text()
    assert (verify(run).ok, verify(run).problems) == (25, [])
    without = open_run(run.place.path)
    assert (verify(without).ok, verify(without).problems) == (25, [])
    with pytest.raises(InputError, match="give the same --key"):
        list(score_shards(without, [0], reporter))


def test_another_key_is_refused(begin: Begin, archive: Path, key: Path, tmp_path: Path) -> None:
    run = begin(archive, key_file=key)
    (tmp_path / "other").write_text("fedcba9876543210fedcba9876543210")
    with pytest.raises(InputError, match="other isn't the key"):
        open_run(run.place.path, tmp_path / "other")
    with pytest.raises(InputError, match=r"rows\.key_check was"):
        begin(archive, key_file=tmp_path / "other")
    assert begin(archive, key_file=key).names == run.names
    plain = begin(archive, path=tmp_path / "plain")
    with pytest.raises(InputError, match=r"rows\.film_names was .*path.* and is .*hash"):
        begin(archive, path=plain.place.path, key_file=key)
