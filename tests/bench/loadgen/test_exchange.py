"""Between LoadGen and our runtime: what is open, what waits, and what LoadGen says."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrscribe.errors import FilmError, InputError
from cxrscribe_bench.loadgen.answers import Answers
from cxrscribe_bench.loadgen.exchange import Asked, Exchange
from cxrscribe_bench.loadgen.query_queue import QueryQueue
from cxrscribe_bench.loadgen.summary import LoadGenSummary


def test_each_id_is_completed_once_whatever_fails() -> None:
    told: list[int] = []
    exchange = Exchange(told.extend, Answers())
    film_error = FilmError("no film")
    first, second = exchange.issue([(11, 0), (12, 1)])
    exchange.answer(first, film_error)
    assert (told, exchange.seconds) == ([11], [])
    exchange.fail(ValueError("1"))
    exchange.fail(ValueError("2"))
    exchange.answer(second, film_error)
    assert told == [11, 12]
    assert exchange.issue([(13, 0)]) == []
    assert told == [11, 12, 13]
    assert str(exchange.error) == "1"
    assert (exchange.seconds, exchange.reports) == ([], 1)


def test_a_queue_gives_what_waits_and_remembers_what_it_gave() -> None:
    queue = QueryQueue()
    asked: list[Asked] = Exchange(lambda _: None, Answers()).issue([(n, 10 + n) for n in range(4)])
    queue.put(asked)
    assert queue.take(3) == [10, 11, 12]
    queue.close()
    assert list(queue) == [13]
    assert [queue.served() for _ in asked] == asked
    assert queue.take(1) == []


def test_a_summary_without_a_verdict_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no verdict"):
        LoadGenSummary.of("Mode     : PerformanceOnly\n")
    with pytest.raises(InputError, match="no summary"):
        LoadGenSummary.read(tmp_path)
