"""A file that one process writes and no other one does meanwhile, and that soon is on the disk.

The lock is the system's, and goes with the process however that ends: flock on Linux and macOS, a locked byte
on Windows. On NFS it holds between machines as far as the mount's locks do. Where a file system has none,
there is no protection.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from types import TracebackType
from typing import BinaryIO, Final, Self

from cxrscribe.errors import InputError
from cxrscribe.file_lock import lock

SYNC_SECONDS: Final = 1.0
"""How long what has been written may stay where a loss of power takes it."""

_CANT_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.EROFS, errno.EBADF)


class OutputFile:
    """A file that is open, and locked. A context manager.

    Raises InputError when it is there and may not be, is being written by another process, is a pipe, or
    can't be written.
    """

    def __init__(self, path: Path, *, may_exist: bool) -> None:
        """Open the file, which is made if it isn't there. What it holds stays."""
        self.path = path
        with self.writing():
            self._file, self.is_new = _opened(path, may_exist)
        try:
            with self.writing():
                self._is_regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
                if self._is_regular:  # a device has no end to be cut, and several may write to it
                    _lock(self._file, path)
        except InputError:
            self._file.close()
            raise
        self._syncing = _Syncing(self._file.fileno(), path.parent if self.is_new else None)

    def read(self) -> bytes:
        """All that is there."""
        self._file.seek(0)
        return self._file.read()

    def cut(self, end: int) -> None:
        """Remove everything from a place on, and go on there."""
        with self.writing():
            if self._is_regular:
                self._file.truncate(end)
            self._file.seek(end)

    def write(self, content: bytes) -> None:
        """Append, and hand it to the system at once; a second later it is on the disk. Raises InputError."""
        with self.writing():
            self._syncing.raise_failure()
            self._file.write(content)
            self._file.flush()
            self._syncing.wanted()

    def close(self) -> None:
        """Put everything on the disk. Raises InputError."""
        with self.writing():
            try:
                self._syncing.end()
            finally:
                self._file.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of which file it is that the system refuses something."""
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.path} can't be written ({error.strerror or error}); check its folder, rights and "
                "free room"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened(path: Path, may_exist: bool) -> tuple[BinaryIO, bool]:
    """The file, and whether it is new. Raises InputError, OSError."""
    while True:
        try:
            return path.open("x+b"), True
        except FileExistsError:
            if not may_exist:
                raise InputError(
                    f"{path} exists; give --resume to go on with it, --overwrite to replace it"
                ) from None
        if path.is_fifo() or path.is_socket():  # opening one would wait
            raise InputError(f"{path} is a pipe, and no file; give another name")
        try:
            return path.open("r+b"), False
        except FileNotFoundError:
            if path.is_symlink():
                raise
            continue  # it has just been removed


def _lock(file: BinaryIO, path: Path) -> None:
    """Raise InputError when another process has the lock."""
    if not lock(file):
        raise InputError(f"{path} is being written by another process; wait for it, or give another --out")


class _Syncing:
    """A thread that puts on the disk what was written, a second after the first of it; no row waits."""

    def __init__(self, number: int, folder: Path | None) -> None:
        """`number`: of the open file; `folder`: where its name is new."""
        self._number = number
        self._folder = folder
        self._state = Condition()
        self._is_wanted = False
        self._has_ended = False
        self._failure: OSError | None = None
        self._thread = Thread(target=self._run, name="cxrscribe-sync", daemon=True)
        self._thread.start()

    def wanted(self) -> None:
        """Something was written."""
        with self._state:
            self._is_wanted = True
            self._state.notify()

    def raise_failure(self) -> None:
        """Raise the OSError that a sync came to: what was written before may be lost."""
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """Sync at once, and for the last time. Raises OSError."""
        with self._state:
            self._has_ended = True
            self._state.notify()
        self._thread.join()
        self.raise_failure()
        self._sync()
        self.raise_failure()

    def _run(self) -> None:
        while True:
            with self._state:
                self._state.wait_for(lambda: self._is_wanted or self._has_ended)
                self._state.wait_for(lambda: self._has_ended, SYNC_SECONDS)
                if self._has_ended:
                    return
                self._is_wanted = False
            self._sync()

    def _sync(self) -> None:
        try:
            os.fsync(self._number)
            if self._folder is not None:
                _sync_folder(self._folder)
                self._folder = None
        except OSError as error:
            if error.errno not in _CANT_SYNC:
                self._failure = error


def _sync_folder(folder: Path) -> None:
    """Put the names in a folder on the disk, where that can be asked for."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
