"""Reading films a little ahead of their use, on a few threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from cxrscribe.errors import FilmError
from cxrscribe.film import FilmSource, Pixels

# Decoding a large film is a matter of memory as much as of time.
MOST_READERS: Final = 4

Tag = TypeVar("Tag")


def read_ahead(
    films: Iterable[tuple[FilmSource, Tag]],
    read: Callable[[FilmSource], Pixels],
    readers: int,
    ahead: int,
) -> Generator[tuple[Pixels | FilmError, Tag], None, None]:
    """Each film's pixels or its error, with its tag, in order; at most `ahead` films further than asked for.

    Files and bytes are read on up to `readers` threads. A PIL image or an array is read right when it is
    taken: its owner may change it afterwards, and Pillow doesn't allow two threads on one image. What `films`
    itself raises comes out here; the threads are gone once this generator is closed or done.
    """
    with ThreadPoolExecutor(min(readers, MOST_READERS), thread_name_prefix="cxrscribe-film") as pool:
        waiting: deque[tuple[Future[Pixels | FilmError], Tag]] = deque()
        try:
            for film, tag in films:
                waiting.append((_start(pool, film, read), tag))
                if len(waiting) > ahead:
                    future, earlier = waiting.popleft()
                    yield future.result(), earlier
            while waiting:
                future, earlier = waiting.popleft()
                yield future.result(), earlier
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def read_or_error(film: FilmSource, read: Callable[[FilmSource], Pixels]) -> Pixels | FilmError:
    """The film's pixels, or why it has none."""
    try:
        return read(film)
    except FilmError as error:
        return error


def _start(
    pool: ThreadPoolExecutor, film: FilmSource, read: Callable[[FilmSource], Pixels]
) -> Future[Pixels | FilmError]:
    if isinstance(film, str | Path | bytes):
        return pool.submit(read_or_error, film, read)
    done: Future[Pixels | FilmError] = Future()
    done.set_result(read_or_error(film, read))
    return done
