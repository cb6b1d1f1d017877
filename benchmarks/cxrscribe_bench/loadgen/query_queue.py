"""Samples that have arrived at a server and wait for their turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Condition

from cxrscribe_bench.loadgen.exchange import Asked


class QueryQueue:
    """First come, first served. Remembers, in order, what was taken and has no answer yet."""

    def __init__(self) -> None:
        self._waiting: deque[Asked] = deque()
        self._taken: deque[Asked] = deque()
        self._changed = Condition()
        self._closed = False

    def put(self, asked: Iterable[Asked]) -> None:
        """Add samples."""
        with self._changed:
            self._waiting.extend(asked)
            self._changed.notify()

    def take(self, most: int) -> list[int]:
        """Indices of those that wait, at most so many; waits for one. None once it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._taken.extend(taken)
        return [asked.index for asked in taken]

    def __iter__(self) -> Iterator[int]:
        """Each index as it arrives."""
        while taken := self.take(1):
            yield from taken

    def served(self) -> Asked:
        """The one that was taken first; it isn't remembered any more."""
        return self._taken.popleft()

    def close(self) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Close it and forget all that waits."""
        with self._changed:
            self._waiting.clear()
        self.close()
