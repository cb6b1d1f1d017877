"""Requests that come and go at any time: each has the report that it has alone, and none holds up another."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, as_completed
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, BusyError, DecodingStats, FilmError, InputError, Report, Reporter, Study
from cxrscribe.errors import SettingsError
from support.queues import WAIT, Gate, eventually, films, various


@pytest.fixture(scope="module", params=["canonical step", "fused step, strict"])
def reporter(request: pytest.FixtureRequest, small_bundle: Path, fused_bundle: Path) -> Iterator[Reporter]:
    bundle = fused_bundle if "fused" in request.param else small_bundle
    with cxrscribe.load(bundle, device="cpu", strict="strict" in request.param) as loaded:
        yield loaded


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


def test_requests_are_checked_before_they_are_accepted(small: Reporter) -> None:
    with small.queue() as queue:
        with pytest.raises(SettingsError):
            queue.submit(films(1)[0], BeamSettings(banned_words=("nosuchword",)))
        with pytest.raises(SettingsError, match="an indication is given, but this bundle's model reads none"):
            queue.submit(films(1)[0], indication="Cough.")
        assert len(queue) == 0
    with pytest.raises(InputError, match="most_waiting"):
        small.queue(most_waiting=0)


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
