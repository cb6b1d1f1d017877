"""Requests, queues and networks that come to their end: who waits is told, and nothing is kept."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, BusyError, FilmError, InputError, Report, Reporter, Study
from cxrscribe.errors import DeviceError
from cxrscribe.films.isolation import Isolation, end_processes
from cxrscribe.films.read_ahead import MOST_READERS
from cxrscribe.search.scheduler import Scheduler
from support.archive_films import small_film
from support.queues import WAIT, Gate, eventually, films

ENDLESS = """
from time import sleep
from cxrscribe.films.preprocess import Preprocessing
real = Preprocessing.picture
def picture(self, film, *rest):
    if film == {film!r}:
        open({begun!r}, "w").close()
        sleep(600)
    return real(self, film, *rest)
Preprocessing.picture = picture
"""


@pytest.fixture(scope="module")
def small(fused_bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(fused_bundle, device="cpu") as loaded:
        yield loaded


@pytest.mark.parametrize("broken", ["encode", "step"])
def test_when_the_network_fails_those_that_it_worked_on_are_told_and_the_others_go_on(
    small: Reporter, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    picture = films(1)[0]
    wanted = small.report(picture)
    failing = threading.Event()
    failing.set()
    owner = Scheduler if broken == "step" else type(small._model.encoder)
    works = getattr(owner, broken)

    def fails(*arguments: object) -> object:
        if failing.is_set():
            raise DeviceError("out of memory")
        return works(*arguments)

    with small.queue() as queue:
        monkeypatch.setattr(owner, broken, fails)
        with pytest.raises(DeviceError, match="out of memory"):
            queue.submit(picture).result(WAIT)
        failing.clear()
        assert queue.submit(picture).result(WAIT) == wanted
        assert len(queue) == 0


def test_closing_waits_for_all_that_was_accepted(small: Reporter) -> None:
    queue = small.queue(batch_size=2)
    futures = [queue.submit(film) for film in films(9)]
    queue.close()
    assert all(future.done() and isinstance(future.result(), Report) for future in futures)
    with pytest.raises(InputError, match="this queue is closed"):
        queue.submit(films(1)[0])
    queue.close()


def test_a_block_that_ends_by_an_exception_cancels_what_is_left(
    small: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slow.png"
    Image.fromarray(films(1)[0]).save(path)
    gate = Gate(monkeypatch, "slow.png")
    futures: list[Future[Report]] = []

    def interrupted() -> None:
        with small.queue() as queue:
            futures.extend(queue.submit(path) for _ in range(20))
            assert gate.reached.wait(WAIT)
            threading.Timer(0.05, gate.opened.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    done, waiting = wait(futures, WAIT)
    assert not waiting
    assert all(future.cancelled() for future in done)


def test_a_reporter_that_is_closed_ends_its_queues(fused_bundle: Path) -> None:
    reporter = cxrscribe.load(fused_bundle, device="cpu")
    queue = reporter.queue()
    assert isinstance(queue.submit(films(1)[0]).result(WAIT), Report)
    reporter.close()
    with pytest.raises(InputError, match="this reporter is closed"):
        queue.submit(films(1)[0]).result(WAIT)
    queue.close()


def test_a_queue_that_is_closed_searches_for_nobody(small: Reporter) -> None:
    queue = small.queue(batch_size=2)
    with small._model:  # none of them is done in the meantime
        futures = [queue.submit(film) for film in films(40)]
        eventually(lambda: queue.searching > 0)
        for future in futures:
            future.cancel()
        threading.Thread(target=queue.close, kwargs={"cancel": True}).start()
        eventually(lambda: queue._is_closed)
    queue.close()
    assert len(queue) == queue.searching == 0


@pytest.mark.parametrize("called", ["a film's error", "a report", "on_read"])
def test_whatever_the_queue_calls_may_close_it(small: Reporter, tmp_path: Path, called: str) -> None:
    """On each of its threads; those of others are answered all the same."""
    Image.fromarray(films(1)[0]).save(tmp_path / "film.png")
    asked, closed = threading.Event(), threading.Event()

    def close(_: object) -> None:
        assert asked.wait(WAIT)
        queue.close()
        closed.set()

    queue = small.queue(on_read=close if called == "on_read" else None)
    with small._model.encoding:  # all of them are there before the first one is done
        bad, good = queue.submit(b"no film"), queue.submit(tmp_path / "film.png")
        others = [] if called == "on_read" else [queue.submit(film) for film in films(3)]
        if called != "on_read":
            (bad if "error" in called else good).add_done_callback(close)
    asked.set()
    assert closed.wait(WAIT)
    assert isinstance(bad.exception(WAIT), FilmError)
    assert all(isinstance(future.result(WAIT), Report) for future in [good, *others])
    queue.close()
    assert not queue._thread.is_alive()
    assert not queue._encoding.thread.is_alive()


def test_a_film_that_nobody_waits_for_has_its_reader_no_longer(
    fused_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = small_film(7)
    (tmp_path / "sitecustomize.py").write_text(ENDLESS.format(film=endless, begun=str(tmp_path / "begun")))
    monkeypatch.syspath_prepend(tmp_path)
    end_processes()  # of the tests before: others heed the path
    isolation = Isolation("all", wall_seconds=600)
    try:
        with cxrscribe.load(fused_bundle, device="cpu", threads=1, isolation=isolation) as reporter:
            wanted = reporter.report(small_film(1))
            with reporter.queue() as queue:
                future = queue.submit(endless)
                eventually((tmp_path / "begun").exists)
                assert future.cancel()
                assert queue.submit(small_film(1)).result(WAIT) == wanted
    finally:
        end_processes()


def test_nothing_is_kept_of_requests_that_are_over(small: Reporter) -> None:
    with small.queue() as queue:
        kept = [weakref.ref(queue.submit(film)) for film in films(6)]
        cancelled = queue.submit(films(1)[0])
        cancelled.cancel()
        kept.append(weakref.ref(cancelled))
        del cancelled

        def gone() -> bool:
            gc.collect()
            return all(each() is None for each in kept)

        eventually(gone)


def test_closing_the_reporter_ends_all_that_goes_on(fused_bundle: Path) -> None:
    reporter = cxrscribe.load(fused_bundle, device="cpu")
    queues = [reporter.queue(batch_size=2) for _ in range(2)]
    futures = [queue.submit(film) for film in films(30) for queue in queues]
    ended = threading.Event()

    def streams() -> None:
        with contextlib.suppress(InputError):
            for _ in reporter.report_stream(films(1)[0] for _ in iter(int, 1)):
                pass
        ended.set()

    threading.Thread(target=streams, daemon=True).start()
    futures[0].result(WAIT)
    reporter.close()
    assert ended.wait(WAIT)
    assert not wait(futures, WAIT).not_done
    for future in futures:
        assert isinstance(future.exception(), InputError) or isinstance(future.result(), Report)
    for queue in queues:
        queue.close()


def test_a_film_that_is_cancelled_is_not_kept_until_a_reader_comes_to_it(
    small: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slow.png"
    Image.fromarray(films(1)[0]).save(path)
    gate = Gate(monkeypatch, "slow.png")
    with small.queue() as queue:
        for _ in range(MOST_READERS):
            queue.submit(path)
        film = bytes(1000)
        before = sys.getrefcount(film)
        future = queue.submit(film)
        assert sys.getrefcount(film) > before
        assert future.cancel()
        assert sys.getrefcount(film) == before
        gate.opened.set()


def test_a_request_that_no_thread_can_read_leaves_nothing_behind(
    small: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "film.png"
    Image.fromarray(films(1)[0]).save(path)

    def refuses(_pool: object) -> None:
        raise RuntimeError("can't start new thread")

    with small.queue() as queue:
        with monkeypatch.context() as patched:
            patched.setattr(ThreadPoolExecutor, "_adjust_thread_count", refuses)
            with pytest.raises(BusyError, match=r"no reader for the film .can't start new thread"):
                queue.submit(Study([path, films(1)[0], path]))
        assert len(queue) == 0
        assert queue.submit(path).result(WAIT) == small.report(path)


def test_no_report_is_of_a_film_whose_search_did_not_begin(
    small: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = BeamSettings(decoding="sample", samples=2, max_length=8)
    first, other, later = films(3)
    wanted = small.report(later, drawn)
    assert wanted != small.report(first, drawn)
    owner = type(small._model.schedulers.take(1)._expander)

    def fails(*_arguments: object) -> None:
        raise DeviceError("out of memory")

    with small.queue() as queue:
        with monkeypatch.context() as patched, small._model:
            patched.setattr(owner, "enqueue", fails)
            queue.submit(first, drawn)
            eventually(lambda: queue.searching == 1)  # it waits for the network
            futures = [queue.submit(first, drawn), queue.submit(other)]
            eventually(lambda: len(queue._encoding._starts) == 2)
            small._model.__exit__()
            try:
                for future in futures:
                    with pytest.raises(DeviceError, match="out of memory"):
                        future.result(WAIT)
            finally:
                small._model.__enter__()
        assert queue.submit(later, drawn).result(WAIT) == wanted
