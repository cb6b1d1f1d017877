from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.films import DamagedFilm, read_films


def pixels(number: int) -> np.ndarray:
    """A film uint8 [24, 32], brighter the higher its number."""
    return (np.arange(24 * 32).reshape(24, 32) // 8 + number).astype(np.uint8)


def drawn_film(folder: Path, number: int) -> Path:
    path = folder / f"{number}.png"
    Image.fromarray(pixels(number)).save(path)
    return path


def test_films_come_in_order_and_damaged_ones_with_their_reason(tmp_path: Path) -> None:
    films = [(f"F{number}", drawn_film(tmp_path, number)) for number in range(40)]
    films[7][1].write_bytes(b"no film")
    films[9][1].unlink()
    read = list(read_films(iter(films), Preprocessing(16, 16)))
    assert [image_id for image_id, _ in read] == [image_id for image_id, _ in films]
    for place, (image_id, film) in enumerate(read):
        if place in (7, 9):
            assert isinstance(film, DamagedFilm)
            assert str(film).startswith(f"{image_id}: ")
            assert str(films[place][1]) in film.reason
        else:
            assert isinstance(film, np.ndarray)
            assert np.array_equal(film, Preprocessing(16, 16).apply(pixels(place)))


def test_a_reading_that_is_given_up_stops_its_threads_and_reads_little_ahead(tmp_path: Path) -> None:
    path = drawn_film(tmp_path, 1)
    asked: list[int] = []

    def endless() -> Iterator[tuple[str, Path]]:
        for number in count():
            asked.append(number)
            yield str(number), path

    before = set(threading.enumerate())  # other tests may leave theirs
    films = read_films(endless(), Preprocessing(16, 16))
    next(films)
    films.close()  # type: ignore[attr-defined]
    assert len(asked) < 1000
    left = set(threading.enumerate()) - before
    assert not [thread for thread in left if thread.name.startswith("cxrscribe-film")]
