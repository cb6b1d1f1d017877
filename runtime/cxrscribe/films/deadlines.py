"""Calls that are made when something takes too long, all from one thread.

A thread a film, as `threading.Timer` is, costs as much as sending the film to another process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from math import inf
from threading import Condition, Thread
from time import monotonic
from typing import Final


class Deadlines:
    """Watches over blocks of code."""

    def __init__(self) -> None:
        self._changed: Final = Condition()
        self._late_calls: Final[dict[object, tuple[float, Callable[[], object]]]] = {}
        self._thread: Thread | None = None
        self._wakes = inf  # when the thread looks next

    @contextmanager
    def within(self, seconds: float, late: Callable[[], object]) -> Iterator[None]:
        """Let `late` be called, from another thread and once, when the block takes longer than this.

        It should be quick; what it raises is dropped. No call begins after the block has ended. Raises
        RuntimeError when there can be no thread.
        """
        mark = self._let_call(seconds, late)
        try:
            yield
        finally:
            with self._changed:
                self._late_calls.pop(mark, None)

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Let `call` be called then, as `late` is. Raises RuntimeError when there can be no thread."""
        self._let_call(seconds, call)

    def _let_call(self, seconds: float, call: Callable[[], object]) -> object:
        mark, deadline = object(), monotonic() + seconds
        with self._changed:
            if self._thread is None or not self._thread.is_alive():
                thread = Thread(target=self._watch, name="cxrscribe-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            self._late_calls[mark] = deadline, call
            if deadline < self._wakes:  # as a rule it looks earlier, for a block that has ended since
                self._changed.notify()
        return mark

    def _watch(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                for mark, (deadline, late) in list(self._late_calls.items()):
                    if deadline <= now:
                        del self._late_calls[mark]
                        with suppress(Exception):  # the others are still to be watched
                            late()
                self._wakes = min((deadline for deadline, _ in self._late_calls.values()), default=inf)
                self._changed.wait(None if self._wakes == inf else max(0.0, self._wakes - now))


_shared = Deadlines()


def _begin_anew() -> None:
    global _shared  # noqa: PLW0603 (the thread stays behind in the process that was forked)
    _shared = Deadlines()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def deadlines() -> Deadlines:
    """Those of this process."""
    return _shared
