"""Several worker processes on one machine: shards are handed out as they get done, and dead workers replaced.

The supervisor holds nothing that matters: which shards are done, their parts say. A worker that dies has its
shards handed out again, and so does a supervisor that is started again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Final

from cxrscribe.archive.child import Child
from cxrscribe.archive.quarantine import QUARANTINED_SHARE
from cxrscribe.archive.run import Run
from cxrscribe.archive.scoring import Receipt
from cxrscribe.engine import Engine
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe.search.scheduler import IMAGES_AT_ONCE
from cxrscribe.sessions.device import usable_threads

_WORKER: Final = "cxrscribe.archive.worker"
_SHARDS_IN_HAND: Final = 2
"""Of a worker: the one that it scores and the next, so that its stream goes on."""
_DEATHS_AT_START: Final = 3
"""In a row, after which it isn't the films."""
_DEATHS_A_WORKER: Final = 8
"""In a row with no shard done between them.

A film that kills costs two, and a worker has two shards in hand.
"""
_LOOK_SECONDS: Final = 5.0
_PATIENCE_SECONDS: Final = 1800.0
"""In which a worker has to take another film.

One that scores films by themselves may need minutes for one.
"""
_VISIBLE_GPUS: Final = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Assignment:
    """What all workers of a run do."""

    run: Run
    engine: Engine
    generation: int = 0
    batch_size: int = IMAGES_AT_ONCE
    score_duplicates: bool = False
    share: float = QUARANTINED_SHARE
    """Of the first films of each worker, what may be quarantined."""

    def request(self) -> dict[str, object]:
        """What a worker reads first."""
        return {
            "run": self.run.place.url,
            "key": str(self.run.key_file) if self.run.key_file else None,
            "indications": self.run.indications,
            "engine": self.engine.to_json(),
            "generation": self.generation,
            "batch_size": self.batch_size,
            "score_duplicates": self.score_duplicates,
            "share": self.share,
        }


def supervise(assignment: Assignment, shards: Iterable[int], workers: int) -> Generator[Receipt, None, None]:
    """Score these shards with so many processes; a receipt for each, as they get done.

    The processor's cores are divided among the workers, unless the engine's threads are given. Where
    CUDA_VISIBLE_DEVICES names several devices, each worker has one of them.

    Raises InputError when workers can't start or write, and when so much goes wrong in one that it can't be
    the films.
    """
    threads = assignment.engine.threads or max(1, usable_threads() // workers)
    divided = replace(assignment, engine=replace(assignment.engine, threads=threads))
    return _Supervisor(divided, deque(shards), workers).receipts()


@dataclass
class _Worker:
    """A process and the shards that it has in hand."""

    number: int
    child: Child
    in_hand: list[int] = field(default_factory=list)
    is_ready: bool = False
    films: int = 0
    """Films that it has taken."""
    stirred: float = field(default_factory=monotonic)
    """When it last took one, or was given a shard, on this process' clock."""

    def note_films(self, films: int) -> None:
        """It says that it has taken so many films."""
        if films != self.films:
            self.films, self.stirred = films, monotonic()


class _Supervisor:
    """One call of `supervise`."""

    def __init__(self, assignment: Assignment, shards: deque[int], workers: int) -> None:
        self._assignment = assignment
        self._shards = shards
        self._count = min(workers, max(1, len(shards)))
        self._said: SimpleQueue[tuple[_Worker, JsonObject | None]] = SimpleQueue()
        self._workers: list[_Worker] = []
        self._deaths_at_start = 0
        self._deaths = 0
        """In a row, with shards in hand."""

    def receipts(self) -> Generator[Receipt, None, None]:
        with ExitStack() as processes:
            try:
                for number in range(self._count if self._shards else 0):
                    self._start(number, processes)
                while self._workers:
                    receipt = self._next(processes)
                    if receipt is not None:
                        yield receipt
            finally:
                for worker in self._workers:  # at the same time: each takes back what it has begun
                    worker.child.terminate()

    def _next(self, processes: ExitStack) -> Receipt | None:
        """Wait a while for what a worker says, and see to it; the receipt, if it is one.

        Raises InputError.
        """
        self._kill_those_that_hang()
        try:
            worker, said = self._said.get(timeout=_LOOK_SECONDS)
        except Empty:
            return None
        if said is None:
            self._replace(worker, processes)
        elif "error" in said.names():
            raise InputError(said.text("error"))
        elif "ready" in said.names():
            worker.is_ready = True
            worker.stirred = monotonic()
            self._deaths_at_start = 0
        elif "films" in said.names():
            worker.note_films(said.integer("films"))
        else:
            receipt = Receipt.from_json(said.object("receipt"))
            self._deaths = 0
            worker.in_hand.remove(receipt.shard)
            self._hand_out(worker)
            return receipt
        return None

    def _start(self, number: int, processes: ExitStack) -> None:
        child = Child(_WORKER, self._assignment.request(), _environment(number))
        worker = _Worker(number, processes.enter_context(child))
        self._workers.append(worker)
        self._hand_out(worker)
        Thread(target=self._listen, args=(worker,), name="cxrscribe-worker", daemon=True).start()

    def _listen(self, worker: _Worker) -> None:
        said: JsonObject | None = JsonObject({}, "nothing yet")
        while said is not None:
            said = worker.child.receive()
            self._said.put((worker, said))

    def _kill_those_that_hang(self) -> None:
        """A film that is never done is found like one that kills: by the third attempt at its shard."""
        for worker in self._workers:
            if worker.is_ready and worker.in_hand and monotonic() - worker.stirred > _PATIENCE_SECONDS:
                worker.stirred = monotonic()
                worker.child.abandon()

    def _hand_out(self, worker: _Worker) -> None:
        """Give a worker its next shards, or the word that there are no more."""
        while self._shards and len(worker.in_hand) < _SHARDS_IN_HAND:
            shard = self._shards.popleft()
            worker.in_hand.append(shard)
            worker.stirred = monotonic()
            worker.child.send({"shard": shard})
        if not worker.in_hand:
            worker.child.send({"shard": None})

    def _replace(self, worker: _Worker, processes: ExitStack) -> None:
        """A worker has ended: done, or with shards in hand, which others get."""
        self._workers.remove(worker)
        worker.child.kill()
        self._shards.extendleft(reversed(worker.in_hand))
        if not worker.is_ready:
            self._deaths_at_start += 1
            if self._deaths_at_start >= _DEATHS_AT_START:
                raise InputError(
                    f"workers die while they start ({worker.child.returncode}); try --workers 1, which says "
                    "more"
                )
        self._deaths += bool(worker.in_hand)
        if self._deaths > _DEATHS_A_WORKER * self._count:
            raise InputError(
                f"workers die one after the other ({worker.child.returncode}), and no shard gets done; try "
                "--workers 1, which says more"
            )
        if self._shards:
            self._start(worker.number, processes)


def _environment(number: int) -> dict[str, str]:
    """What a worker's environment has that ours hasn't: one of our GPUs."""
    devices = [device for device in os.environ.get(_VISIBLE_GPUS, "").split(",") if device]
    return {_VISIBLE_GPUS: devices[number % len(devices)]} if len(devices) > 1 else {}
