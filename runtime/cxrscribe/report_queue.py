"""A queue of films, for a service: requests come and go at any time, each report leaves when it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Condition, RLock, Thread, current_thread
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from cxrscribe.errors import BusyError, CxrscribeError, FilmError, InputError
from cxrscribe.films.levels import Picture
from cxrscribe.films.read_ahead import MOST_READERS, read_or_error
from cxrscribe.queue_encoding import QueueEncoding
from cxrscribe.queue_ticket import QueueParts, Ticket
from cxrscribe.report import Report
from cxrscribe.search.scheduler import Finished, Scheduler
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from cxrscribe.study import Image, films_of

if TYPE_CHECKING:
    from cxrscribe.films.film import FilmSource


class ReportQueue:
    """Takes films one by one, from any thread, and gives a Future for the report of each.

    with reporter.queue() as queue:
        future = queue.submit("film.png")
        print(future.result(timeout=30).text)

    All of them share each call of the network, and none waits for another one: a report is there when its own
    search is over, in whatever order. `future.cancel()` takes a request out at any time, whether its film is
    to be read or its search under way, and lets the next one have its place. The words are those of
    `Reporter.report`, whoever else is searched for.

    A film is read as soon as a reader is free, and encoded while others are searched for. What can't be read
    is the FilmError of its own future. When a network fails, the requests that it was working on have that
    error, and the others go on.

    Made by `Reporter.queue`. Closing it lets nothing more in and waits for all that was accepted; a `with`
    block that ends by an exception cancels it instead.
    """

    def __init__(self, parts: QueueParts, slots: int, most: int, stats: DecodingStats) -> None:
        """`slots` images are searched for at a time; at most `most` requests are in it."""
        self._parts = parts
        self._slots = slots
        self._most = most
        self._stats = stats
        lock = RLock()  # guards all that follows but what only the thread uses
        self._changed = Condition(lock)
        self._open: set[Ticket] = set()
        self._cancelled: list[Ticket] = []
        self._is_closed = False
        self._failure: BaseException | None = None
        self._searched: dict[int, Ticket] = {}  # by number; the thread's own, as is the next one
        self._numbers = 0
        self._own_threads: set[Thread] = set()
        self._pool = ThreadPoolExecutor(
            min(parts.readers, MOST_READERS),
            thread_name_prefix="cxrscribe-film",
            initializer=lambda: self._own_threads.add(current_thread()),
        )
        self._encoding = QueueEncoding(parts, stats, lock, self._changed, self._answer, self._end)
        self._thread = Thread(target=self._run, name="cxrscribe-queue", daemon=True)
        self._own_threads |= {self._thread, self._encoding.thread}
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

        Raises BusyError when the queue is full or the system gives it no thread, InputError when it is
        closed, and what `Reporter.report` raises for settings and indications that don't fit.
        """
        self._parts.model.require_here()
        ticket = Ticket(self._parts.wanted(image, settings, indication), 0)
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
            ticket.films = [None if place in here else film for place, film in enumerate(films)]
            self._let_read(ticket, here)
            self._open.add(ticket)
        for reading in ticket.readings:
            reading.add_done_callback(partial(self._when_read, ticket))
        ticket.future.add_done_callback(partial(self._when_done, ticket))
        return ticket.future

    def close(self, *, cancel: bool = False) -> None:
        """Let nothing more in, and wait until each request that was accepted has its answer.

        `cancel`: don't wait for these, but cancel them. A future's callback and `on_read` may close it, too,
        and don't wait where one of the queue's threads calls them.
        """
        if not self._parts.model.is_here:  # its threads aren't in a process that was forked off
            return
        with self._changed:
            self._is_closed = True
            left = list(self._open) if cancel else []
            self._changed.notify_all()
        for ticket in left:
            ticket.future.cancel()
            ticket.decoding.give_up()
        if current_thread() not in self._own_threads:
            self._thread.join()
            self._encoding.thread.join()
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

    def _let_read(self, ticket: Ticket, here: Mapping[int, Picture | FilmError]) -> None:
        """Have the films of it read, but those that are `here`. Raises BusyError where nobody can."""
        for place in range(ticket.left):
            if place in here:
                reading: Future[Picture | FilmError] = Future()
                reading.set_result(here[place])
            else:
                try:
                    reading = self._pool.submit(self._read_of, ticket, place)
                except RuntimeError as error:  # the system has no thread to give
                    ticket.let_go()
                    raise BusyError(
                        f"the queue has no reader for the film ({error}); try again, or end other programs"
                    ) from None
            ticket.readings.append(reading)

    def _read_of(self, ticket: Ticket, place: int) -> Picture | FilmError:
        film, ticket.films[place] = ticket.films[place], None
        if film is None:
            raise CancelledError  # just now: nobody asks what it is
        ticket.decoding.take_part()
        return self._read_one(film)

    def _read_one(self, film: FilmSource) -> Picture | FilmError:
        started = perf_counter()
        try:
            return read_or_error(film, self._parts.read)
        finally:
            if self._parts.on_read is not None:
                self._parts.on_read(perf_counter() - started)

    def _when_read(self, ticket: Ticket, _: object) -> None:
        """A film of it has been read, on whatever thread."""
        with self._changed:
            ticket.left -= 1
            if ticket.left == 0:
                self._encoding.add(ticket)

    def _when_done(self, ticket: Ticket, future: Future[Report]) -> None:
        """It has its answer, or was cancelled, on whatever thread."""
        with self._changed:
            self._open.discard(ticket)
            if future.cancelled():
                self._cancelled.append(ticket)
            if future.cancelled() or not self._open:
                self._changed.notify()
        if future.cancelled():
            future.set_running_or_notify_cancel()  # whoever waits for several at once hears of it
            ticket.let_go()

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
            with self._changed:
                self._encoding.end()
            if self._failure is None:
                self._parts.model.schedulers.give_back(scheduler)
        except BaseException as error:
            self._end(error)
        finally:
            self._searched.clear()  # those that were cancelled

    def _wait(self, scheduler: Scheduler) -> bool:
        """Until there is something to do; False once it is closed and everything is answered."""
        with self._changed:
            self._encoding.before_step(is_searching=scheduler.busy)
            self._changed.wait_for(
                lambda: (
                    scheduler.busy
                    or self._encoding.has_starts
                    or self._cancelled
                    or self._failure
                    or (self._is_closed and not self._open)
                )
            )
            return self._failure is None and (bool(self._open) or not self._is_closed)

    def _let_go(self, scheduler: Scheduler) -> None:
        """Take out what was cancelled."""
        with self._changed:
            cancelled, self._cancelled = self._cancelled, []
        waiting: list[Ticket] = []
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
        """Let what has been encoded wait for a place, if there is room."""
        if not scheduler.has_room:
            return
        with self._changed:
            starts = [(ticket, start) for ticket, start in self._encoding.take() if not ticket.future.done()]
        if not starts:
            return
        for ticket, _ in starts:
            ticket.number = self._numbers
            self._searched[self._numbers] = ticket
            self._numbers += 1
        with self._parts.model:
            scheduler.enqueue(
                np.stack([start for _, start in starts]),
                [ticket.wanted.settings for ticket, _ in starts],
                self._stats,
            )

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

    def _answer(self, tickets: Iterable[Ticket], error: BaseException) -> None:
        """Give these requests an error in place of a report."""
        for ticket in list(tickets):
            with suppress(InvalidStateError):
                ticket.future.set_exception(error)

    def _end(self, error: BaseException) -> None:
        """Nothing goes on from here: everybody is told."""
        with self._changed:
            self._failure = self._failure or error
            left = list(self._open)
            self._encoding.end()
            self._changed.notify()
        self._answer(
            left, error if isinstance(error, CxrscribeError) else InputError(f"the queue failed: {error}")
        )
        self._pool.shutdown(wait=False, cancel_futures=True)
