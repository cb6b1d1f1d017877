from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.features import films_of
from cxrscribe_train.fitting.input_cache import CachedInputs, cache_films

PREPROCESSING = Preprocessing(32, 32)


class Read:
    """Counts the films that are read, and asks to stop after the first `films` of them."""

    def __init__(self, films: int = 1000) -> None:
        self.films = 0
        self._stop_after = films

    def advance(self, films: int) -> None:
        self.films += films

    def stop(self) -> bool:
        return self.films >= self._stop_after


@pytest.fixture
def films(squares: Path) -> list[tuple[str, Path]]:
    return films_of(read_reports(squares))


def cached(films: list[tuple[str, Path]], path: Path) -> CachedInputs:
    made = cache_films(films, PREPROCESSING, path)
    assert made is not None
    return made


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read from here on."""
    names: list[str] = []
    read = Preprocessing.read

    def note(self: Preprocessing, source: Path, **options: Any) -> object:
        names.append(source.name)
        return read(self, source, **options)

    monkeypatch.setattr(Preprocessing, "read", note)
    return names


def test_films_lie_in_their_order_without_damaged_ones(films: list[tuple[str, Path]], tmp_path: Path) -> None:
    films[3][1].write_bytes(b"")
    made = cached(films, tmp_path / "inputs.npy")
    kept = [film for index, film in enumerate(films) if index != 3]
    assert made.image_ids == tuple(image_id for image_id, _ in kept)
    assert [film.image_id for film in made.damaged] == [films[3][0]]
    by_hand = np.stack([PREPROCESSING.read(path) for _, path in kept])
    assert np.array_equal(np.load(made.path)[: len(kept)], by_hand)


def test_a_cache_of_the_same_files_is_taken_as_it_is(
    films: list[tuple[str, Path]], tmp_path: Path, seen: list[str]
) -> None:
    first = cached(films, tmp_path / "inputs.npy")
    seen.clear()
    assert cached(films, tmp_path / "inputs.npy") == first
    assert seen == []
    os.utime(films[0][1], ns=(1, 1))
    cached(films, tmp_path / "inputs.npy")
    assert len(seen) == len(films)


def test_a_stopped_preparation_goes_on_where_it_was(
    films: list[tuple[str, Path]], tmp_path: Path, seen: list[str]
) -> None:
    films[1][1].write_bytes(b"")
    straight = cached(films, tmp_path / "straight.npy")
    read = Read(films=5)
    assert cache_films(films, PREPROCESSING, tmp_path / "inputs.npy", read.advance, read.stop) is None
    assert read.films == 5
    seen.clear()
    rest = Read()
    made = cache_films(films, PREPROCESSING, tmp_path / "inputs.npy", rest.advance, rest.stop)
    assert made is not None
    assert rest.films == len(films)
    assert sorted(seen) == sorted(path.name for _, path in films[5:])
    assert (made.image_ids, made.damaged) == (straight.image_ids, straight.damaged)
    assert made.digest() == straight.digest()


def test_a_wish_to_stop_after_the_last_film_comes_too_late(
    films: list[tuple[str, Path]], tmp_path: Path
) -> None:
    read = Read(films=len(films))
    assert cache_films(films, PREPROCESSING, tmp_path / "inputs.npy", read.advance, read.stop) is not None


def _cut_index(cache: Path) -> None:
    index = cache.with_suffix(".json")
    index.write_bytes(index.read_bytes()[:40])


def _list_as_index(cache: Path) -> None:
    cache.with_suffix(".json").write_text("[]")


def _cut_films(cache: Path) -> None:
    cache.write_bytes(cache.read_bytes()[:-1])


def _no_films(cache: Path) -> None:
    cache.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut_index, _list_as_index, _cut_films, _no_films])
def test_a_damaged_cache_is_made_again(
    films: list[tuple[str, Path]], tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    first = cached(films, tmp_path / "inputs.npy")
    digest = first.digest()
    damage(first.path)
    assert cached(films, tmp_path / "inputs.npy") == first
    assert first.digest() == digest


def test_the_index_of_other_films_does_not_outlive_them(
    films: list[tuple[str, Path]], tmp_path: Path
) -> None:
    path = tmp_path / "inputs.npy"
    digest = cached(films, path).digest()

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_films(films[::-1], PREPROCESSING, path, killed)
    assert cached(films, path).digest() == digest


def test_the_digest_follows_the_films_not_the_place(films: list[tuple[str, Path]], tmp_path: Path) -> None:
    first = cached(films, tmp_path / "inputs.npy").digest()
    assert cached(films, tmp_path / "elsewhere" / "other.npy").digest() == first
    films[2][1].write_bytes(films[4][1].read_bytes())
    assert cached(films, tmp_path / "inputs.npy").digest() != first


def test_films_none_of_which_can_be_read_are_an_error_each_time(
    films: list[tuple[str, Path]], tmp_path: Path
) -> None:
    for _, path in films:
        path.write_bytes(b"")
    for _ in range(2):
        with pytest.raises(InputError, match=rf"none of {len(films)} films.*{films[0][0]}"):
            cache_films(films, PREPROCESSING, tmp_path / "inputs.npy")


@pytest.mark.parametrize("folder", ["file.txt/run", "/proc/nowhere/run"])
def test_a_folder_that_can_not_be_made_is_an_error(
    films: list[tuple[str, Path]], tmp_path: Path, folder: str
) -> None:
    (tmp_path / "file.txt").write_text("no folder")
    with pytest.raises(InputError, match=r"can't write .*inputs\.npy.*another folder"):
        cache_films(films, PREPROCESSING, tmp_path / folder / "inputs.npy")
