"""The queries of one LoadGen run: which are open, how long each took, and what was answered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import TypeAlias

from cxrscribe_bench.loadgen.answers import Answer, Answers

Respond: TypeAlias = Callable[[Sequence[int]], None]
"""Tells LoadGen that the samples with these ids are done."""


@dataclass(eq=False)
class _Query:
    issued: float
    """By `perf_counter`."""
    open: int
    """Samples that have no answer yet."""


@dataclass(frozen=True)
class Asked:
    """A sample of a query, for which LoadGen waits."""

    id: int
    """LoadGen's, of this response."""
    index: int
    """Which sample of the workload it is."""
    query: _Query


class Exchange:
    """Between LoadGen and whoever answers, each on a thread of its own or both on one.

    LoadGen waits for every sample, and an id that it is told twice is a crash: so what is open is known here,
    and is completed once, with an answer or, after a failure, without.
    """

    def __init__(self, respond: Respond, answers: Answers) -> None:
        self._respond = respond
        self._answers = answers
        self._lock = Lock()
        self._open: dict[int, Asked] = {}
        self._first_issued: float | None = None
        self._last_answered = 0.0
        self.seconds: list[float] = []
        """Of each query that was answered, from its issue to the last of its answers.

        LoadGen's own latencies of Server are a little longer: they count from when a query was due.
        """
        self.reports = 0
        """Samples that were answered."""
        self.error: BaseException | None = None
        """What failed first, if anything."""

    @property
    def duration(self) -> float:
        """Seconds from the first issue to the last answer."""
        return self._last_answered - self._first_issued if self._first_issued is not None else 0.0

    def issue(self, samples: Iterable[tuple[int, int]]) -> list[Asked]:
        """Open a query of samples (id, index). After a failure they are completed at once; none is left."""
        pairs = list(samples)
        query = _Query(perf_counter(), len(pairs))
        asked = [Asked(response, index, query) for response, index in pairs]
        with self._lock:
            if self._first_issued is None:
                self._first_issued = query.issued
            if self.error is None:
                self._open.update((each.id, each) for each in asked)
                return asked
        self._respond([each.id for each in asked])
        return []

    def answer(self, asked: Asked, answer: Answer) -> None:
        """Complete one sample. Does nothing where a failure did."""
        with self._lock:
            if self._open.pop(asked.id, None) is None:
                return
            now = perf_counter()
            self._last_answered = now
            self._answers.add(asked.index, answer)
            self.reports += 1
            asked.query.open -= 1
            if not asked.query.open:
                self.seconds.append(now - asked.query.issued)
        self._respond([asked.id])

    def fail(self, error: BaseException) -> None:
        """Complete all that is open, and all that will come, without answers: LoadGen can't be stopped."""
        with self._lock:
            if self.error is None:
                self.error = error
            left = list(self._open)
            self._open.clear()
        if left:
            self._respond(left)
