"""Memory that was freed: given back to the system, or kept for all threads."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_M_ARENA_MAX: Final = -8
"""A parameter of glibc's mallopt, from malloc.h."""


def return_freed_memory() -> None:
    """Give it back, where the C library has a call for that: glibc keeps it for the thread that had it.

    So a process would stay as large as the most that it ever held, once for each of its threads.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # musl has no such call, and needs none
        ctypes.CDLL(None).malloc_trim(0)


def share_freed_memory() -> None:
    """Let each of this program's threads have what any of them has freed, where the C library is glibc.

    It keeps an arena a thread, which takes 1 to 3 MB of one report. That threads now wait for each other
    costs nothing that can be seen: many films took 0.95 to 0.97 of the time. What the user says in
    MALLOC_ARENA_MAX is left. For programs only: it holds for all that is in the process.
    """
    if "MALLOC_ARENA_MAX" in os.environ:
        return
    import ctypes

    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
