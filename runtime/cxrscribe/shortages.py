"""What this machine lacks for the moment, processes, open files, memory, as its system says it."""

from __future__ import annotations

import errno
from typing import Final

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Numbers of errors that opening or reading any file can end with, and that say nothing of the file."""

_REMEDIES: Final = {
    errno.EMFILE: "raise the limit of open files (ulimit -n), or close other programs",
    errno.ENFILE: "close other programs, or raise the system's limit of open files",
    errno.EAGAIN: "close other programs, or raise the limit of processes (ulimit -u)",
    errno.ENOMEM: "free some memory",
}


def shortage_remedy(error: OSError) -> str:
    """What to do about an error that starting a process, or opening a file, has ended with."""
    return _REMEDIES.get(error.errno or 0, "check that this machine can run another Python")
