"""What a process that is forked off leaves alone: the native objects of the process that made them.

The threads of onnxruntime don't come along into a forked process, so that using a session there hangs or
aborts, and so does freeing it, in the middle of the work or when the process ends. There is no harm in not
freeing it: the memory is shared with the parent. So objects that are registered here never die in a forked
process.
"""

from __future__ import annotations

import ctypes
import os
from threading import Lock
from typing import Final
from weakref import WeakSet

from cxrscribe.errors import InputError

_owned: Final[WeakSet[object]] = WeakSet()
_locks: Final[WeakSet[ForkSafeLock]] = WeakSet()
_forks = 0
"""How many forks there are between the first process and this one."""


class Owner:
    """The process that something was made in."""

    def __init__(self) -> None:
        self._mark = _mark()

    @property
    def is_here(self) -> bool:
        """Whether this is that process, and not one that was forked off it."""
        return self._mark == _mark()

    def require(self, what: str) -> None:
        """Raise InputError in a process that was forked off."""
        if not self.is_here:
            raise InputError(
                f"{what} was loaded before this process was forked, and can't be used here; load it after "
                "the fork: gunicorn without --preload or in post_fork, multiprocessing with the start method "
                "'spawn'"
            )


class ForkSafeLock:
    """A lock that nobody holds in a process that is forked off, whoever holds it at that moment."""

    def __init__(self) -> None:
        self.renew()
        _locks.add(self)

    def renew(self) -> None:
        """Let nobody hold it."""
        self._lock = Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def keep_from_forks(owned: object) -> None:
    """Let `owned`, and what it holds, never be freed in a process that is forked off this one."""
    _owned.add(owned)


def _mark() -> tuple[int, int]:
    """Another one in each process: forks by other than Python's means have another number at least."""
    return os.getpid(), _forks


def _leave_alone() -> None:
    """In a process that was just forked off: one reference more than there is makes an object immortal."""
    global _forks  # noqa: PLW0603 (the number is this process')
    _forks += 1
    for owned in list(_owned):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owned))
    for lock in list(_locks):
        lock.renew()


if hasattr(os, "register_at_fork"):  # elsewhere there are no forks
    os.register_at_fork(after_in_child=_leave_alone)
