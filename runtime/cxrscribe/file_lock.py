"""Locks of the system on open files, which go with the process however that ends.

flock on Linux and macOS; on Windows a locked byte far behind what anybody reads.
"""

from __future__ import annotations

import errno
from typing import BinaryIO, Final

_LOCKED_BYTE: Final = 0x7FFF_FFF0
_HELD: Final = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)


def lock(file: BinaryIO) -> bool:
    """Take the lock without a wait. False when another process has it; True also where there are no locks."""
    try:
        try:
            import fcntl
        except ImportError:
            _lock_byte(file)
        else:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD  # a file system without locks
    return True


def _lock_byte(file: BinaryIO) -> None:
    import msvcrt

    file.seek(_LOCKED_BYTE)
    try:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    finally:
        file.seek(0)
