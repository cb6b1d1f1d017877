"""Reading films a little ahead of their use, on a few threads."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Condition, Event, Semaphore, Thread, current_thread
from typing import Final, Generic, TypeAlias, TypeVar

from cxrscribe.errors import FilmError
from cxrscribe.films.film import FilmSource
from cxrscribe.films.isolation import Decoding

# Reading a film can cost more than encoding it, so that there is a reader for each core; but a reader costs
# memory, too. Very large films are decoded one at a time in any case (films/limits.py).
MOST_READERS: Final = 8

MOST_HELD_BYTES: Final = 1 << 29
"""Of films that are in memory and wait for their turn to be decoded."""

# How long to wait for the thread that takes the films, once it shall end: it may wait for its source forever.
_FAREWELL_SECONDS: Final = 0.2

Tag = TypeVar("Tag")
Read = TypeVar("Read")
"""What reading a film gives."""
Batch: TypeAlias = list[tuple[Read | FilmError, Tag]]


def read_batches(
    films: Iterable[tuple[FilmSource, Tag]],
    read: Callable[[FilmSource], Read],
    readers: int,
    least: int,
    most: int,
) -> Generator[Batch[Read, Tag], None, None]:
    """What `read` gives of each film, or its error, with its tag, in order: `least` to `most` films a batch.

    A batch waits for `least` films. From then on it only takes what `films` has given by now, and never waits
    for it: whoever gives one film and then waits for what becomes of it does get it. Only the last batch can
    be smaller. While the caller works on one batch, at most `most` films more are taken and read.

    `films` is iterated on a thread of its own. Files and bytes are read on up to `readers` threads. A PIL
    image or an array is read before the next film is taken: its owner may change it afterwards, and Pillow
    doesn't allow two threads on one image. What `films` raises comes out here, after all that it gave before.

    Once this generator is closed or done, the threads are gone; only one that still waits for `films` ends
    when that gives, raises or ends.
    """
    with film_feed(films, read, readers, most) as feed:
        while batch := feed.take(least, most):
            yield batch


def read_ahead(
    films: Iterable[tuple[FilmSource, Tag]],
    read: Callable[[FilmSource], Read],
    readers: int,
    ahead: int,
) -> Generator[tuple[Read | FilmError, Tag], None, None]:
    """As `read_batches`, film by film; at most twice `ahead` films further than asked for."""
    with closing(read_batches(films, read, readers, 1, ahead)) as batches:
        for batch in batches:
            yield from batch


def read_or_error(film: FilmSource, read: Callable[[FilmSource], Read]) -> Read | FilmError:
    """What `read` gives of the film, or why it gives nothing."""
    try:
        return read(film)
    except FilmError as error:
        return _without_frames(error)


def _without_frames(error: FilmError) -> FilmError:
    """The error without what it was raised in and from: their frames hold the film's bytes and pixels."""
    inner: BaseException | None = error
    while inner is not None:
        following = inner.__cause__ or inner.__context__
        inner.__traceback__ = inner.__context__ = inner.__cause__ = None
        inner = following
    return error


@dataclass(frozen=True)
class _End:
    """Behind the last film: what the films' source raised, if anything."""

    error: BaseException | None = None


@contextmanager
def film_feed(
    films: Iterable[tuple[FilmSource, Tag]], read: Callable[[FilmSource], Read], readers: int, ahead: int
) -> Iterator[FilmFeed[Read, Tag]]:
    """A feed, as `read_batches` uses it; it takes and reads at most `ahead` films more than asked for."""
    decoding = Decoding()
    pool = ThreadPoolExecutor(
        min(readers, MOST_READERS), thread_name_prefix="cxrscribe-film", initializer=decoding.take_part
    )
    try:
        feed = FilmFeed(films, read, pool, ahead)
        try:
            yield feed
        finally:
            feed.stop()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        decoding.give_up()  # nobody waits for these films any more
        pool.shutdown(wait=True)


class _Held:
    """Bytes of the films that were given as bytes and haven't been read, however large each is."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._bytes = 0
        self._is_bounded = True

    def wait_for(self, size: int) -> None:
        """Hold so many more, once there is room for them; one film always has room."""
        with self._changed:
            self._changed.wait_for(
                lambda: not self._is_bounded or self._bytes == 0 or self._bytes + size <= MOST_HELD_BYTES
            )
            self._bytes += size

    def release(self, size: int) -> None:
        """Hold so many no longer."""
        with self._changed:
            self._bytes -= size
            self._changed.notify()

    def forget(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._is_bounded = False
            self._changed.notify()


class FilmFeed(Generic[Read, Tag]):
    """The thread that takes films from their source and has them read."""

    def __init__(
        self,
        films: Iterable[tuple[FilmSource, Tag]],
        read: Callable[[FilmSource], Read],
        pool: ThreadPoolExecutor,
        ahead: int,
    ) -> None:
        self._films = films
        self._read = read
        self._pool = pool
        self._room = Semaphore(ahead)
        self._held = _Held()
        self._given: SimpleQueue[tuple[Future[Read | FilmError], Tag] | _End] = SimpleQueue()
        self._end: _End | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="cxrscribe-feed", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether `take` has come to the end."""
        return self._end is not None

    def take(self, least: int, most: int) -> Batch[Read, Tag]:
        """The next films, see `read_batches`; none at the end, or where `least` is 0 and none is there yet.

        Raises what their source raised, after all that it gave before.
        """
        batch: Batch[Read, Tag] = []
        while self._end is None and len(batch) < most:
            try:
                given = self._given.get(block=len(batch) < least)
            except Empty:
                break
            if isinstance(given, _End):
                self._end = given
                break
            self._room.release()
            film, tag = given
            try:
                batch.append((film.result(), tag))
            except BaseException as error:  # no FilmError: it comes after the films before
                self._end = _End(error)
        if not batch and self._end is not None and self._end.error is not None:
            raise self._end.error
        return batch

    def stop(self) -> None:
        """Take no further film."""
        self._stopped.set()
        self._room.release()
        self._held.forget()
        if self._thread is not current_thread():  # its source may close the stream itself
            self._thread.join(_FAREWELL_SECONDS)

    def _run(self) -> None:
        try:
            for film, tag in self._with_room():
                self._start(film, tag)
            self._given.put(_End())
        except BaseException as error:
            self._given.put(_End(error))

    def _with_room(self) -> Iterator[tuple[FilmSource, Tag]]:
        """The films, each taken from its source only once there is room for it, until `stop` is called."""
        films = iter(self._films)
        while self._room.acquire() and not self._stopped.is_set():
            try:
                film = next(films)
            except StopIteration:
                return
            if not self._stopped.is_set():
                yield film

    def _start(self, film: FilmSource, tag: Tag) -> None:
        if isinstance(film, str | Path | bytes):
            size = len(film) if isinstance(film, bytes) else 0
            self._held.wait_for(size)
            reading = self._pool.submit(read_or_error, film, self._read)
            reading.add_done_callback(lambda _: self._held.release(size))
            self._given.put((reading, tag))
            return
        done: Future[Read | FilmError] = Future()
        self._given.put((done, tag))
        try:
            done.set_result(read_or_error(film, self._read))
        except BaseException as error:
            done.set_exception(error)
