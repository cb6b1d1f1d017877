"""Synchronous data parallelism over processes of one machine.

Each process computes the gradients of its share of a batch. All put them into shared memory, meet at a
barrier, and add them up in the same order, so that every process holds the same bytes after every step. A
network that uses one core for its convolutions, as Paddle's do on a CPU, then trains nearly twice as fast on
two cores.

`paddle.distributed` does this for GPUs and clusters; its CPU backend needs free network ports and leaves the
order of the sum, and so the last bits, to the transport.

Paddle isn't imported here, so that a helper process can silence its warnings before it is.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import CxrscribeError
from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

# Far longer than any process works between two meetings (a validation, say).
_MEETING_SECONDS: Final = 3600.0
_JOIN_SECONDS: Final = 30.0


class Exchange(Protocol):
    """Adds up vectors over all processes of a training."""

    @property
    def rank(self) -> int:
        """Number of this process; 0 is the one that writes files."""

    @property
    def processes(self) -> int:
        """How many processes take part."""

    def sum(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum of all processes' vectors, the same bytes in each: float32 [n] -> float32 [n]."""


class Alone:
    """The exchange of a training in one process."""

    rank = 0
    processes = 1

    def sum(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The vector itself."""
        return vector


@dataclass(frozen=True)
class _MeetingPlace:
    """What all processes share: a barrier for them, and 2 * processes * capacity floats."""

    processes: int
    capacity: int
    memory: Any
    barrier: threading.Barrier


class SharedExchange:
    """An exchange through memory that all processes map.

    Two buffers are used in turn, so that one meeting a sum is enough: when all have met for a sum, all have
    read the one before.
    """

    def __init__(self, rank: int, place: _MeetingPlace) -> None:
        self.rank = rank
        self.processes = place.processes
        shape = (2, place.processes, place.capacity)
        self._buffers = np.frombuffer(place.memory, dtype=np.float32).reshape(shape)
        self._barrier = place.barrier
        self._turn = 0

    def sum(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Exchange with all others. Raises CxrscribeError when another process has ended."""
        buffer = self._buffers[self._turn, :, : len(vector)]  # [processes, n]
        self._turn = 1 - self._turn
        buffer[self.rank] = vector
        try:
            self._barrier.wait(_MEETING_SECONDS)
        except threading.BrokenBarrierError:
            raise CxrscribeError(
                "another process of this training has ended, and its message, if any, stands above; "
                "correct that, then go on with --resume"
            ) from None
        total = buffer[0].copy()
        for other in buffer[1:]:
            total += other
        return total


@contextmanager
def shared_exchange(
    processes: int, capacity: int, work: Callable[..., None], *args: object
) -> Iterator[Exchange]:
    """Start `processes - 1` helpers and give this process the exchange with them.

    Each helper calls `work(exchange, *args)`; both have to be picklable. When the block ends, helpers that
    still run are ended.

    Args:
        processes: at least 2.
        capacity: length of the longest vector.
        work: a function of a module.
        args: its arguments after the exchange.
    """
    context = multiprocessing.get_context("spawn")
    memory = context.RawArray(ctypes.c_float, 2 * processes * capacity)
    place = _MeetingPlace(processes, capacity, memory, context.Barrier(processes))
    job = pickle.dumps((work, args))
    helpers = [
        context.Process(target=_help, args=(rank, place, job), name=f"cxrscribe train {rank}", daemon=True)
        for rank in range(1, processes)
    ]
    try:
        _start(helpers)
        threading.Thread(target=_watch, args=(helpers, place.barrier), daemon=True).start()
        yield SharedExchange(0, place)
        for helper in helpers:
            helper.join(_JOIN_SECONDS)
    finally:
        place.barrier.abort()
        for helper in helpers:
            if helper.pid is not None:
                helper.join(1.0)
                helper.terminate()
                helper.join()


def _start(helpers: list[SpawnProcess]) -> None:
    """Start helpers that ignore Ctrl-C: it reaches every process of a terminal, and rank 0 passes it on."""
    if threading.current_thread() is not threading.main_thread():
        for helper in helpers:
            helper.start()
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # which a child process inherits
    try:
        for helper in helpers:
            helper.start()
    finally:
        signal.signal(signal.SIGINT, before)


def _watch(helpers: list[SpawnProcess], barrier: threading.Barrier) -> None:
    """Break the barrier when a helper ends badly, so that nobody waits for one that was killed."""
    running = list(helpers)
    while running:
        wait([helper.sentinel for helper in running])
        ended = [helper for helper in running if not helper.is_alive()]
        if any(helper.exitcode != 0 for helper in ended):
            barrier.abort()
        running = [helper for helper in running if helper not in ended]


def _help(rank: int, place: _MeetingPlace, job: bytes) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        ignore_paddle_warnings()
        work, args = pickle.loads(job)
        work(SharedExchange(rank, place), *args)
    except BaseException:
        place.barrier.abort()
        raise


def _end_with_parent() -> None:
    """End a helper whose first process was killed: nobody will meet it again, and it has nothing to save."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
