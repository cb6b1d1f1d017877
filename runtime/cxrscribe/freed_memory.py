"""Memory that was freed, given back to the system."""

from __future__ import annotations

from contextlib import suppress


def return_freed_memory() -> None:
    """Give it back, where the C library has a call for that: glibc keeps it for the thread that had it.

    So a process would stay as large as the most that it ever held, once for each of its threads.
    """
    import ctypes

    with suppress(AttributeError, OSError, TypeError):  # musl has no such call, and needs none
        ctypes.CDLL(None).malloc_trim(0)
