"""The bytes of planned films, if they still are what was planned; patient with storage that fails."""

from __future__ import annotations

import errno
import os
import random
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import QuarantinedError, Reason
from cxrscribe.archive.sources.listing import ABSENT
from cxrscribe.archive.sources.members import UNLISTED, OpenArchive, check_size, open_archive

_OPEN_ARCHIVES: Final = 4
_TRIES: Final = 5
_SHORTEST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_WITNESSES: Final = 3
_READ_ONLY: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# What a network or a disk says of itself, and not of one film.
_TRANSIENT: Final = frozenset(
    {
        errno.EIO,
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.ENODEV,
        errno.ENXIO,
        errno.EPIPE,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.ENOTCONN,
        errno.ECONNRESET,
        errno.ECONNREFUSED,
        errno.ECONNABORTED,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENETRESET,
    }
)


class StorageFaultError(Exception):
    """The storage of the films fails, whichever of them is asked for. Says how, and names no film."""


class FilmReader:
    """Reads films of one plan; a context manager that closes the archives that it keeps open.

    For one thread.
    """

    def __init__(self, root: str, sleep: Callable[[float], object] = time.sleep) -> None:
        """`root`: the folder that the films' names are relative to. `sleep` waits for so many seconds."""
        self._root = Path(root)
        self._sleep = sleep
        self._archives: OrderedDict[str, OpenArchive] = OrderedDict()

    def read(self, film: PlannedFilm, others: Sequence[PlannedFilm] = ()) -> bytes:
        """The bytes of a film, if they are those that were planned.

        A fault of the storage is tried again, five times with growing pauses. If it lasts, but one of a few
        `others` can be read, it is this film's own.

        Raises QuarantinedError when there is something wrong with this film, StorageFaultError when the
        storage fails.
        """
        fault = self._patiently(film)
        if isinstance(fault, bytes):
            return fault
        for other in others[:_WITNESSES]:
            if not isinstance(self._once(other), str):
                raise QuarantinedError(
                    Reason.UNREADABLE, f"can't be read ({fault}), though others can; check the disk"
                )
        raise StorageFaultError(fault)

    def _patiently(self, film: PlannedFilm) -> bytes | str:
        """The bytes, or what fault lasts. Raises QuarantinedError."""
        wait = _SHORTEST_WAIT
        for left in reversed(range(_TRIES)):
            content = self._once(film)
            if isinstance(content, QuarantinedError):
                raise content
            if isinstance(content, bytes) or not left:
                return content
            self._sleep(wait * random.uniform(0.5, 1.5))
            wait = min(_LONGEST_WAIT, 4 * wait)
        raise AssertionError("the last try has returned")

    def _once(self, film: PlannedFilm) -> bytes | QuarantinedError | str:
        """The bytes, what is wrong with this film, or a fault of the storage in the system's words."""
        try:
            check_size(film)
            return self._member(film) if film.archive else self._file(film)
        except QuarantinedError as error:
            return error
        except FileNotFoundError:
            if not self._has_root():
                return "the folder of all films is gone or empty"
            return QuarantinedError(
                Reason.MISSING, "does not exist any more; put it back, or start a new run without it"
            )
        except OSError as error:
            self._forget(film.archive)
            if error.errno in _TRANSIENT:
                return error.strerror or type(error).__name__
            return QuarantinedError(
                Reason.UNREADABLE,
                f"can't be opened ({error.strerror or type(error).__name__}); check its rights",
            )
        except MemoryError:
            return QuarantinedError(Reason.TOO_LARGE, "does not fit in memory; reduce it first")

    def _file(self, film: PlannedFilm) -> bytes:
        if film.stamp == UNLISTED:
            raise QuarantinedError(
                Reason.UNREADABLE,
                "could not be listed to its end when the run was planned, so films in it may be missing "
                "here; repair it or its rights, and score it in a new run",
            )
        # A pipe that bears a film's name must not be waited for.
        file = os.open(
            self._root / film.film, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
        with os.fdopen(file, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise QuarantinedError(Reason.UNREADABLE, "is not a regular file; give a file")
            if film.stamp == ABSENT or (status.st_size, str(status.st_mtime_ns)) != (film.size, film.stamp):
                raise QuarantinedError(
                    Reason.CHANGED, "is another file than when the run was planned; start a new run for it"
                )
            content = stream.read(film.size + 1)
        if len(content) != film.size:
            raise QuarantinedError(Reason.CHANGED, "changed while it was read; start a new run for it")
        return content

    def _member(self, film: PlannedFilm) -> bytes:
        archive = self._archives.pop(film.archive, None)
        if archive is None:
            archive = open_archive(str(self._root / film.archive))
        self._archives[film.archive] = archive
        if len(self._archives) > _OPEN_ARCHIVES:
            _, oldest = self._archives.popitem(last=False)
            oldest.close()
        return archive.read(film)

    def _forget(self, archive: str) -> None:
        found = self._archives.pop(archive, None)
        if found is not None:
            found.close()

    def _has_root(self) -> bool:
        """Whether the folder of all films is there and holds anything: else its file system isn't mounted."""
        try:
            with os.scandir(self._root) as entries:
                return any(entries)
        except OSError:
            return False

    def close(self) -> None:
        """Close the archives that are open."""
        while self._archives:
            self._archives.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
