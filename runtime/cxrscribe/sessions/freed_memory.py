"""Memory that has been freed, and that the C library keeps for later."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def return_freed_memory() -> None:
    """Give it back to the system, where the C library has a call for that (glibc has).

    Otherwise a process that has optimized a large graph would stay twice as large as the model for good.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
