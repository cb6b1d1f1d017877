"""Who answers LoadGen's queries: on the thread that brings them, or on one that takes them from a queue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Thread

from cxrscribe_bench.loadgen.answers import Answer
from cxrscribe_bench.loadgen.exchange import Asked, Exchange
from cxrscribe_bench.loadgen.query_queue import QueryQueue
from cxrscribe_bench.loadgen.sample_source import SampleSource


class DirectServer:
    """A Server that answers a query while LoadGen waits, which issues the next one afterwards anyway.

    Not for the scenario that is called Server: there LoadGen keeps to a schedule.
    """

    def __init__(self, answers: Callable[[Sequence[int]], Iterable[Answer]]) -> None:
        """`answers` gives one answer for each index, in order."""
        self._answers = answers

    def start(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def serve(self, asked: Sequence[Asked]) -> None:
        answers = self._answers([each.index for each in asked])
        for each, answer in zip(asked, answers, strict=True):
            self._exchange.answer(each, answer)

    def end(self) -> None:
        pass


class QueueServer:
    """A Server that queues queries for a thread of its own, so that LoadGen keeps to its schedule."""

    def __init__(self, source: SampleSource) -> None:
        self._source = source

    def start(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._queue = QueryQueue()
        self._thread = Thread(target=self._run, name="cxrscribe-server", daemon=True)
        self._thread.start()

    def serve(self, asked: Sequence[Asked]) -> None:
        self._queue.put(asked)

    def end(self) -> None:
        self._queue.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            for answer in self._source.arriving(self._queue):
                self._exchange.answer(self._queue.served(), answer)
        except BaseException as error:
            self._exchange.fail(error)
            self._queue.abandon()
