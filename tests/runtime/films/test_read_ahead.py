"""How films become batches: what waits for what, and what is left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from threading import Event

import numpy as np
import pytest

from cxrscribe.errors import FilmError
from cxrscribe.films.film import FilmSource, Pixels
from cxrscribe.films.read_ahead import read_ahead, read_batches

PATIENCE = 20.0  # seconds that no test needs, unless something hangs


def read(film: FilmSource) -> Pixels:
    """A pixel of the film's first byte; empty films are damaged."""
    if not isinstance(film, bytes) or not film:
        raise FilmError("is empty")
    return np.full((1, 1), film[0], np.uint8)


def numbered(numbers: range) -> Iterator[tuple[bytes, int]]:
    for number in numbers:
        yield bytes([number]), number


def feeders() -> list[threading.Thread]:
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith(("cxrscribe-feed", "cxrscribe-film"))
    ]


def test_films_come_in_order_in_full_batches_where_these_are_waited_for() -> None:
    batches = list(read_batches(numbered(range(10)), read, 2, 4, 4))
    assert [[tag for _, tag in batch] for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert all(film[0, 0] == tag for batch in batches for film, tag in batch if isinstance(film, np.ndarray))
    assert feeders() == []


def test_damaged_film_is_a_value_at_its_place() -> None:
    films = [(b"\1", "good"), (b"", "bad"), (b"\2", "fine")]
    (batch,) = read_batches(iter(films), read, 2, 3, 3)
    assert [tag for film, tag in batch if isinstance(film, FilmError)] == ["bad"]
    assert [film.item() for film, _ in batch if isinstance(film, np.ndarray)] == [1, 2]


@pytest.mark.parametrize("most", [1, 32])
def test_who_waits_for_the_answer_before_giving_the_next_film_gets_it(most: int) -> None:
    answered = Event()

    def client() -> Iterator[tuple[bytes, int]]:
        for film in numbered(range(3)):
            yield film
            assert answered.wait(PATIENCE)
            answered.clear()

    given = []
    for batch in read_batches(client(), read, 2, 1, most):
        given += [tag for _, tag in batch]
        answered.set()
    assert given == [0, 1, 2]


def test_what_has_been_given_while_a_film_was_read_comes_with_it() -> None:
    all_given, done = Event(), Event()

    def burst() -> Iterator[tuple[bytes, int]]:
        yield from numbered(range(5))
        all_given.set()
        assert done.wait(PATIENCE)

    def read_late(film: FilmSource) -> Pixels:
        assert all_given.wait(PATIENCE)
        return read(film)

    with closing(read_batches(burst(), read_late, 2, 1, 32)) as batches:
        assert len(next(batches)) == 5
        done.set()
        assert list(batches) == []


@pytest.mark.parametrize("least", [1, 4])
def test_error_of_the_source_comes_after_all_films_that_it_gave(least: int) -> None:
    def failing() -> Iterator[tuple[bytes, int]]:
        yield from numbered(range(6))
        raise RuntimeError("the archive is gone")

    given: list[int] = []

    def take_all() -> None:
        for batch in read_batches(failing(), read, 2, least, 4):
            given.extend(tag for _, tag in batch)

    with pytest.raises(RuntimeError, match="the archive is gone"):
        take_all()
    assert given == [0, 1, 2, 3, 4, 5]
    assert feeders() == []


def test_error_of_the_reading_comes_out() -> None:
    def broken(film: FilmSource) -> Pixels:
        raise ZeroDivisionError

    for film in (b"\1", np.zeros((1, 1), np.uint8)):
        with pytest.raises(ZeroDivisionError):
            list(read_batches([(film, 0)], broken, 2, 1, 4))


def endless(taken: list[int]) -> Iterator[tuple[bytes, int]]:
    for number in count():
        taken.append(number)
        yield b"\1", number


def test_no_more_than_two_batches_are_held() -> None:
    taken: list[int] = []
    with closing(read_batches(endless(taken), read, 2, 4, 4)) as batches:
        for number in range(1, 5):
            next(batches)
            time.sleep(0.02)  # time to take too many
            assert len(taken) <= 4 * (number + 1)
    assert feeders() == []


def test_array_is_read_before_the_next_film_is_taken() -> None:
    shared = np.zeros((1, 1), np.uint8)

    def reused() -> Iterator[tuple[np.ndarray, int]]:
        for number in range(8):
            shared[:] = number
            yield shared, number

    for film, number in read_ahead(reused(), np.array, 2, 3):
        assert isinstance(film, np.ndarray)
        assert film.item() == number


def test_closing_does_not_wait_for_a_source_that_waits() -> None:
    released, asked = Event(), []

    def waiting() -> Iterator[tuple[bytes, int]]:
        for film in numbered(range(9)):
            asked.append(film)
            yield film
            assert released.wait(PATIENCE)

    batches = read_batches(waiting(), read, 2, 1, 4)
    next(batches)
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < PATIENCE / 2
    (thread,) = feeders()
    assert thread.daemon  # a program may end, whatever its source does
    released.set()
    thread.join(PATIENCE)
    assert feeders() == []
    assert len(asked) <= 2


def test_films_come_one_by_one_a_bounded_number_ahead() -> None:
    taken: list[int] = []
    with closing(read_ahead(endless(taken), read, 2, 3)) as films:
        assert [next(films)[1] for _ in range(5)] == [0, 1, 2, 3, 4]
        time.sleep(0.02)
        assert len(taken) <= 5 + 2 * 3
