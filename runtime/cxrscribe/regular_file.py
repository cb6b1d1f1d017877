"""Opening files that others have put there: regular ones only, and never with a wait."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO
from pathlib import Path
from typing import Final

# A pipe put in the place of a file after it was looked at must not be waited for either.
_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
)
_BINARY: Final = getattr(os, "O_BINARY", 0)


def open_regular(path: Path, *, follow: bool = True) -> FileIO:
    """Open a regular file to read its bytes, without a buffer; `follow`: or a link that leads to one.

    Raises OSError, also for a pipe, socket, device or folder, none of which is opened.
    """
    if not stat.S_ISREG((path.stat() if follow else path.lstat()).st_mode):
        raise _not_regular(path)  # opening a device may do something by itself
    flags = _FLAGS | _BINARY | (0 if follow else getattr(os, "O_NOFOLLOW", 0))
    file = FileIO(os.open(path, flags))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise _not_regular(path)
    return file


def _not_regular(path: Path) -> OSError:
    return OSError(errno.EINVAL, "it is not a regular file", str(path))
