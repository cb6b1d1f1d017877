"""A queue of films, for a service: requests come and go at any time, each report leaves when it is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Condition, Thread, current_thread
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from cxrscribe.errors import BusyError, CxrscribeError, FilmError, InputError
from cxrscribe.film_requests import Encode
from cxrscribe.films.isolation import Decoding
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import MOST_READERS, read_or_error
from cxrscribe.indications import Indications
from cxrscribe.networks.encoder import FILMS_AT_ONCE
from cxrscribe.report import Report
from cxrscribe.search.scheduler import Finished, Scheduler
from cxrscribe.settings import BeamSettings
from cxrscribe.shared_model import SharedModel
from cxrscribe.stats import DecodingStats
from cxrscribe.study import Image, films_of
from cxrscribe.wanted import Gathered, Wanted

if TYPE_CHECKING:
    from cxrscribe.films.film import FilmSource


@dataclass(frozen=True)
class QueueParts:
    """What a queue has of the reporter that made it."""

    model: SharedModel
    read: Callable[[FilmSource], Picture]
    encode: Encode
    indications: Indications
    wanted: Callable[[Image, BeamSettings | None, str | None], Wanted]
    """Checks what a request asks for. Raises as `Reporter.report` does."""
    readers: int
    """Threads that read films."""
    on_read: Callable[[float], None] | None = None
    """Told how many seconds each film took to read, on the thread that read it."""


@dataclass(eq=False)
class _Ticket:
    """A request that was accepted, until its report is there."""

    wanted: Wanted
    left: int
    """Films that haven't been read."""
    future: Future[Report] = field(default_factory=Future)
    readings: list[Future[Picture | FilmError]] = field(default_factory=list)
    gathered: Gathered = field(default_factory=Gathered)
    number: int | None = None
    """What the scheduler calls it; None before it gets there."""


class ReportQueue:
    """Takes films one by one, from any thread, and gives a Future for the report of each.

    with reporter.queue() as queue:
        future = queue.submit("film.png")
        print(future.result(timeout=30).text)

    All of them share each call of the network, and none waits for another one: a report is there when its own
    search is over, in whatever order. `future.cancel()` takes a request out at any time, whether its film is
    to be read or its search under way, and lets the next one have its place. The words are those of
    `Reporter.report`, whoever else is searched for.

    A film is read as soon as a reader is free. What can't be read is the FilmError of its own future. When
    the network fails, the requests that it was working on have that error, and the others go on.

    Made by `Reporter.queue`. Closing it lets nothing more in and waits for all that was accepted; a `with`
    block that ends by an exception cancels it instead.
    """

    def __init__(self, parts: QueueParts, slots: int, most: int, stats: DecodingStats) -> None:
        """`slots` images are searched for at a time; at most `most` requests are in it."""
        self._parts = parts
        self._slots = slots
        self._most = most
        self._stats = stats
        self._changed = Condition()  # guards all that follows but what only the thread uses
        self._open: set[_Ticket] = set()
        self._read: deque[_Ticket] = deque()  # all of whose films are there
        self._cancelled: list[_Ticket] = []
        self._is_closed = False
        self._failure: BaseException | None = None
        self._searched: dict[int, _Ticket] = {}  # by number; the thread's own, as is the next one
        self._numbers = 0
        self._decoding = Decoding()
        self._pool = ThreadPoolExecutor(
            min(parts.readers, MOST_READERS),
            thread_name_prefix="cxrscribe-film",
            initializer=self._decoding.take_part,
        )
        self._thread = Thread(target=self._run, name="cxrscribe-queue", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many requests were accepted and have no answer yet."""
        return len(self._open)

    @property
    def searching(self) -> int:
        """How many of them are searched for, or wait for a place among these."""
        return len(self._searched)

    @property
    def is_open(self) -> bool:
        """Whether it takes requests: it is neither closed nor has it failed."""
        return not self._is_closed and self._failure is None

    def submit(
        self, image: Image, settings: BeamSettings | None = None, *, indication: str | None = None
    ) -> Future[Report]:
        """Ask for the report of a film or a Study; arguments are those of `Reporter.report`.

        The future gives the Report, or raises the FilmError that says why there is none. A path or bytes are
        read later; a PIL image or an array has been read when this returns, and may be changed then.

        Raises BusyError when the queue is full, InputError when it is closed, and what `Reporter.report`
        raises for settings and indications that don't fit.
        """
        self._parts.model.require_here()
        ticket = _Ticket(self._parts.wanted(image, settings, indication), 0)
        films = [film for film, _ in films_of([(image, None)])]
        ticket.left = len(films)
        here = {  # what its owner may change afterwards
            place: self._read_one(film)
            for place, film in enumerate(films)
            if not isinstance(film, str | Path | bytes)
        }
        with self._changed:
            self._require_open()
            if len(self._open) >= self._most:
                raise BusyError(
                    f"the queue is full: {len(self._open)} requests are in it; try again when some are done"
                )
            self._open.add(ticket)
            for place, film in enumerate(films):
                if place in here:
                    reading: Future[Picture | FilmError] = Future()
                    reading.set_result(here[place])
                else:
                    reading = self._pool.submit(self._read_one, film)
                ticket.readings.append(reading)
        for reading in ticket.readings:
            reading.add_done_callback(partial(self._when_read, ticket))
        ticket.future.add_done_callback(partial(self._when_done, ticket))
        return ticket.future

    def close(self, *, cancel: bool = False) -> None:
        """Let nothing more in, and wait until each request that was accepted has its answer.

        `cancel`: don't wait for these, but cancel them.
        """
        if not self._parts.model.is_here:  # its threads aren't in a process that was forked off
            return
        with self._changed:
            self._is_closed = True
            left = list(self._open) if cancel else []
            self._changed.notify_all()
        for ticket in left:
            ticket.future.cancel()
        if cancel:
            self._decoding.give_up()
        if self._thread is not current_thread():  # a future's callback may close it
            self._thread.join()
            self._pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=error is not None)

    def _require_open(self) -> None:
        if self._failure is not None:
            raise InputError(f"this queue has failed ({self._failure}); make another one") from self._failure
        if self._is_closed:
            raise InputError("this queue is closed; make another one")

    def _read_one(self, film: FilmSource) -> Picture | FilmError:
        started = perf_counter()
        try:
            return read_or_error(film, self._parts.read)
        finally:
            if self._parts.on_read is not None:
                self._parts.on_read(perf_counter() - started)

    def _when_read(self, ticket: _Ticket, _: object) -> None:
        """A film of it has been read, on whatever thread."""
        with self._changed:
            ticket.left -= 1
            if ticket.left == 0:
                self._read.append(ticket)
                self._changed.notify_all()

    def _when_done(self, ticket: _Ticket, future: Future[Report]) -> None:
        """It has its answer, or was cancelled, on whatever thread."""
        with self._changed:
            self._open.discard(ticket)
            if future.cancelled():
                self._cancelled.append(ticket)
            self._changed.notify_all()
        if future.cancelled():
            future.set_running_or_notify_cancel()  # whoever waits for several at once hears of it
            for reading in ticket.readings:
                reading.cancel()

    def _run(self) -> None:
        try:
            scheduler = self._parts.model.schedulers.take(self._slots)
            while self._wait(scheduler):
                try:
                    self._let_go(scheduler)
                    self._admit(scheduler)
                    self._step(scheduler)
                except Exception as error:
                    self._parts.model.require_open()  # else it ends here
                    # What is in the scheduler now, nobody knows. Who is in it is told, and the others go on.
                    self._answer(self._searched.values(), error)
                    self._searched.clear()
                    self._numbers = 0
                    scheduler = self._parts.model.schedulers.take(self._slots)
            self._parts.model.schedulers.give_back(scheduler)
        except BaseException as error:
            self._end(error)

    def _wait(self, scheduler: Scheduler) -> bool:
        """Until there is something to do; False once it is closed and everything is answered."""
        with self._changed:
            self._changed.wait_for(
                lambda: (
                    scheduler.busy or self._read or self._cancelled or (self._is_closed and not self._open)
                )
            )
            return bool(self._open) or not self._is_closed

    def _let_go(self, scheduler: Scheduler) -> None:
        """Take out what was cancelled."""
        with self._changed:
            cancelled, self._cancelled = self._cancelled, []
        waiting: list[_Ticket] = []
        for ticket in cancelled:
            number = ticket.number
            if number is None or self._searched.get(number) is not ticket:
                continue  # it never got there, or was done before
            if scheduler.drop(number):
                del self._searched[number]
            else:
                waiting.append(ticket)  # for a place: it goes at the next turn, when it has one
        if waiting:
            with self._changed:
                self._cancelled += waiting

    def _admit(self, scheduler: Scheduler) -> None:
        """Encode films that have been read, as long as there is room."""
        while scheduler.has_room:
            batch: list[_Ticket] = []
            films = 0
            with self._changed:
                while self._read and films < FILMS_AT_ONCE:
                    ticket = self._read.popleft()
                    if not ticket.future.done():
                        batch.append(ticket)
                        films += len(ticket.readings)
            if not batch:
                return
            try:
                self._enqueue(scheduler, batch)
            except Exception as error:
                self._parts.model.require_open()
                self._answer([ticket for ticket in batch if ticket.number is None], error)

    def _enqueue(self, scheduler: Scheduler, batch: list[_Ticket]) -> None:
        """Encode the films of some requests, and let these wait for a place."""
        read: list[tuple[_Ticket, list[Picture | FilmError]]] = []
        for ticket in batch:
            try:
                read.append((ticket, [reading.result() for reading in ticket.readings]))
            except BaseException as error:  # no FilmError: of this request alone, whatever it is
                self._answer([ticket], error)
            ticket.readings.clear()
        pictures = [film.pixels for _, films in read for film in films if not isinstance(film, FilmError)]
        self._stats.films += sum(len(films) for _, films in read)
        self._stats.film_errors += sum(len(films) for _, films in read) - len(pictures)
        features = iter(self._parts.encode(pictures, self._stats))
        starts, settings, searched = [], [], []
        for ticket, films in read:
            for film in films:
                ticket.gathered.add(film, features)
            unread = ticket.gathered.error()
            if unread is not None:
                self._answer([ticket], unread)
                continue
            starts.append(ticket.gathered.start(ticket.wanted, self._parts.indications))
            settings.append(ticket.wanted.settings)
            searched.append(ticket)
        if not starts:
            return
        with self._parts.model:
            scheduler.enqueue(np.stack(starts), settings, self._stats)
        for ticket in searched:
            ticket.number = self._numbers
            self._searched[self._numbers] = ticket
            self._numbers += 1

    def _step(self, scheduler: Scheduler) -> None:
        if not scheduler.busy:
            return
        with self._parts.model:
            finished: list[Finished] = scheduler.step(self._stats)
        for number, outcome in finished:
            ticket = self._searched.pop(number)
            item = ticket.gathered.item(ticket.wanted, outcome)
            if isinstance(item, FilmError):
                self._answer([ticket], item)
            else:
                with suppress(InvalidStateError):  # it was cancelled just now
                    ticket.future.set_result(item)

    def _answer(self, tickets: Iterable[_Ticket], error: BaseException) -> None:
        """Give these requests an error in place of a report."""
        for ticket in list(tickets):
            with suppress(InvalidStateError):
                ticket.future.set_exception(error)

    def _end(self, error: BaseException) -> None:
        """Nothing goes on from here: everybody is told."""
        with self._changed:
            self._failure = error
            left = list(self._open)
        self._answer(
            left, error if isinstance(error, CxrscribeError) else InputError(f"the queue failed: {error}")
        )
        self._pool.shutdown(wait=False, cancel_futures=True)
