"""Requests that come and go at any time: each has the report that it has alone, and none holds up another."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed, wait
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, BusyError, DecodingStats, FilmError, InputError, Report, Reporter, Study
from cxrscribe.errors import DeviceError, SettingsError
from cxrscribe.films.isolation import Isolation, end_processes
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.read_ahead import MOST_READERS
from cxrscribe.search.scheduler import Scheduler
from support.archive_films import small_film

WAIT = 60.0
"""Seconds, for what takes none: a test that waits for ever says nothing."""
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


@pytest.fixture(scope="module", params=["canonical step", "fused step, strict"])
def reporter(request: pytest.FixtureRequest, small_bundle: Path, fused_bundle: Path) -> Iterator[Reporter]:
    bundle = fused_bundle if "fused" in request.param else small_bundle
    with cxrscribe.load(bundle, device="cpu", strict="strict" in request.param) as loaded:
        yield loaded


def films(count: int, seed: int = 3) -> list[NDArray[np.uint8]]:
    return list(np.random.default_rng(seed).integers(0, 256, (count, 40, 30), np.uint8))


def various(count: int) -> list[BeamSettings]:
    return [
        BeamSettings(
            beam_width=1 + place % 4,
            max_length=3 + place % 7,
            decoding="sample" if place % 5 == 4 else "beam",
            samples=2 if place % 5 == 4 else 1,
        )
        for place in range(count)
    ]


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.005)


class Gate:
    """Readers that stop at films of a name until they are let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()
        read = Preprocessing.read_shown

        def gated(preprocessing: Preprocessing, film: object, *others: object) -> object:
            if str(film).endswith(name):
                self.reached.set()
                assert self.opened.wait(WAIT)
            return read(preprocessing, film, *others)  # type: ignore[arg-type]

        monkeypatch.setattr(Preprocessing, "read_shown", gated)


def test_reports_are_those_of_a_batch_whatever_the_settings(reporter: Reporter) -> None:
    pictures, each = films(24), various(24)
    wanted = reporter.report_batch(pictures, each)
    stats = DecodingStats()
    with reporter.queue(batch_size=5, stats=stats) as queue:
        futures = [queue.submit(film, own) for film, own in zip(pictures, each, strict=True)]
        assert [future.result(WAIT) for future in futures] == wanted
        assert len(queue) == 0
    assert (stats.films, stats.images, stats.film_errors) == (24, 24, 0)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whoever_is_cancelled_whenever_the_others_have_their_reports(
    small: Reporter, data: st.DataObject
) -> None:
    pictures, each = films(12), various(12)
    wanted = small.report_batch(pictures, each)
    gone: set[int] = set()
    futures: list[Future[Report]] = []
    with small.queue(batch_size=data.draw(st.integers(1, 6))) as queue:
        for film, own in zip(pictures, each, strict=True):
            futures.append(queue.submit(film, own))
            for place in data.draw(st.sets(st.integers(0, len(futures) - 1), max_size=3)):
                if futures[place].cancel():
                    gone.add(place)
            time.sleep(data.draw(st.sampled_from([0.0, 0.0, 0.002])))
        for place, future in enumerate(futures):
            if place in gone:
                with pytest.raises(CancelledError):
                    future.result(WAIT)
            else:
                assert future.result(WAIT) == wanted[place]
        again = queue.submit(pictures[0], each[0])  # the places of those that went are free
        assert again.result(WAIT) == wanted[0]


@pytest.fixture(scope="module")
def small(fused_bundle: Path) -> Iterator[Reporter]:
    with cxrscribe.load(fused_bundle, device="cpu") as loaded:
        yield loaded


def test_a_film_that_takes_long_to_read_holds_up_no_other(
    small: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "threads", 2)
    paths = []
    for name, film in zip(("slow.png", "a.png", "b.png"), films(3), strict=True):
        Image.fromarray(film).save(tmp_path / name)
        paths.append(tmp_path / name)
    gate = Gate(monkeypatch, "slow.png")
    with small.queue() as queue:
        slow, *others = [queue.submit(path) for path in paths]
        assert len([future.result(WAIT) for future in as_completed(others, WAIT)]) == 2
        assert gate.reached.wait(WAIT)
        assert not slow.done()
        gate.opened.set()
        assert isinstance(slow.result(WAIT), Report)


def test_a_bad_film_is_its_own_error(small: Reporter, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
    Image.fromarray(films(1)[0]).save(tmp_path / "good.png")
    with small.queue() as queue:
        bad, missing, good = (queue.submit(tmp_path / name) for name in ("bad.png", "no.png", "good.png"))
        for future, name in ((bad, "bad.png"), (missing, "no.png")):
            assert isinstance(future.exception(WAIT), FilmError)
            assert name in str(future.exception())
        assert isinstance(good.result(WAIT), Report)


def test_a_queue_says_what_is_in_it_and_how_long_films_took(small: Reporter, tmp_path: Path) -> None:
    Image.fromarray(films(1)[0]).save(tmp_path / "film.png")
    seconds: list[float] = []
    queue = small.queue(on_read=seconds.append)
    assert queue.is_open
    queue.submit(tmp_path / "film.png").result(WAIT)
    queue.submit(films(1)[0]).result(WAIT)
    assert isinstance(queue.submit(tmp_path / "none.png").exception(WAIT), FilmError)
    assert len(seconds) == 3
    assert all(0 < each < WAIT for each in seconds)
    assert (queue.searching, len(queue)) == (0, 0)
    long = queue.submit(films(1)[0], BeamSettings(max_length=4096, min_length=4096))
    eventually(lambda: queue.searching == 1)
    long.cancel()
    eventually(lambda: queue.searching == 0)
    queue.close()
    assert not queue.is_open


def test_a_study_has_one_report_and_says_which_films_it_is_without(small: Reporter) -> None:
    pictures = films(2)
    study = Study([pictures[0], b"no film", pictures[1]])
    with small.queue() as queue:
        report = queue.submit(study).result(WAIT)
    wanted = small.report(study)
    assert (report.text, report.score) == (wanted.text, wanted.score)
    assert [left.place for left in report.left_out] == [left.place for left in wanted.left_out] == [1]


def test_arrays_are_read_before_submit_returns(small: Reporter) -> None:
    film = films(1)[0]
    wanted = small.report(film.copy())
    with small.queue() as queue:
        future = queue.submit(film)
        film[:] = 0
        assert future.result(WAIT) == wanted


def test_a_full_queue_refuses_and_takes_more_later(
    small: Reporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "slow.png"
    Image.fromarray(films(1)[0]).save(path)
    gate = Gate(monkeypatch, "slow.png")
    with small.queue(most_waiting=2) as queue:
        first, second = queue.submit(path), queue.submit(path)
        with pytest.raises(BusyError, match="the queue is full: 2 requests are in it"):
            queue.submit(path)
        assert second.cancel()
        third = queue.submit(path)
        gate.opened.set()
        assert first.result(WAIT) == third.result(WAIT)


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


def test_requests_are_checked_before_they_are_accepted(small: Reporter) -> None:
    with small.queue() as queue:
        with pytest.raises(SettingsError):
            queue.submit(films(1)[0], BeamSettings(banned_words=("nosuchword",)))
        with pytest.raises(SettingsError, match="an indication is given, but this bundle's model reads none"):
            queue.submit(films(1)[0], indication="Cough.")
        assert len(queue) == 0
    with pytest.raises(InputError, match="most_waiting"):
        small.queue(most_waiting=0)


@pytest.mark.parametrize("called", ["a film's error", "a report", "on_read"])
def test_whatever_the_queue_calls_may_close_it(small: Reporter, tmp_path: Path, called: str) -> None:
    """On each of its threads; those of others are answered all the same."""
    Image.fromarray(films(1)[0]).save(tmp_path / "film.png")
    closed = threading.Event()

    def close(_: object) -> None:
        queue.close()
        closed.set()

    queue = small.queue(on_read=close if called == "on_read" else None)
    with small._model.encoding:  # all of them are there before the first one is done
        bad, good = queue.submit(b"no film"), queue.submit(tmp_path / "film.png")
        others = [] if called == "on_read" else [queue.submit(film) for film in films(3)]
        if called != "on_read":
            (bad if "error" in called else good).add_done_callback(close)
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


def test_films_are_encoded_while_others_are_searched_for(small: Reporter) -> None:
    wanted = small.report_batch(films(3))
    with small.queue() as queue:
        with small._model:  # as a search that takes long
            futures = [queue.submit(film) for film in films(3)]
            eventually(lambda: queue.searching > 0 and queue.searching + len(queue._encoding._starts) == 3)
        assert [future.result(WAIT) for future in futures] == wanted


def test_it_serves_asyncio_and_cancelling_there_frees_the_place(small: Reporter) -> None:
    async def serve() -> list[Report]:
        with small.queue(batch_size=2) as queue:
            futures = [asyncio.wrap_future(queue.submit(film)) for film in films(8)]
            futures[3].cancel()
            answers = await asyncio.gather(*futures[:3], *futures[4:])
            eventually(lambda: len(queue) == 0)
            return list(answers)

    wanted = small.report_batch(films(8))
    assert asyncio.run(serve()) == wanted[:3] + wanted[4:]


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


def test_many_threads_ask_at_once(small: Reporter) -> None:
    pictures = films(10)
    wanted = small.report_batch(pictures)
    found: list[list[Report]] = [[] for _ in range(8)]
    with small.queue(batch_size=4) as queue:

        def ask(mine: list[Report]) -> None:
            mine.extend(queue.submit(film).result(WAIT) for film in pictures)

        threads = [threading.Thread(target=ask, args=(mine,)) for mine in found]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
    assert found == [wanted] * 8


def test_queues_streams_and_single_films_share_a_reporter(reporter: Reporter, tmp_path: Path) -> None:
    """From several threads at once, with studies and films that can't be read, some of them cancelled."""
    pictures = films(12)
    studies: list[cxrscribe.study.Image] = [Study([*pictures[:9], b"no film", pictures[9]]), *pictures]
    wanted, failures = reporter.report_batch(studies), list[BaseException]()

    def same(found: list[Report | FilmError]) -> None:
        assert [each.text if isinstance(each, Report) else None for each in found] == [
            each.text if isinstance(each, Report) else None for each in wanted
        ]

    def queued() -> None:
        with reporter.queue(batch_size=3) as queue:
            futures = [queue.submit(image) for image in studies]
            gone = [queue.submit(image) for image in studies]
            bad = queue.submit(b"no film")
            for future in gone[::2]:
                future.cancel()
            same([future.result(WAIT) for future in futures])
            assert isinstance(bad.exception(WAIT), FilmError)

    def streamed() -> None:
        same(list(reporter.report_stream(iter(studies), batch_size=1)))
        assert next(iter(reporter.report_stream(iter(studies)))) == wanted[0]  # and is closed in the midst

    def asked() -> None:
        same([reporter.report(image) for image in studies])

    def watched(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    works = (queued, queued, streamed, streamed, asked)
    threads = [threading.Thread(target=watched, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


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
