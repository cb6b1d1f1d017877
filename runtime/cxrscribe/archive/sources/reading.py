"""The bytes of planned films, if they still are what was planned; patient with storage that fails."""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

from cxrscribe.archive.places.place import is_url
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import FaultError, OutOfResourcesError, QuarantinedError, StorageFaultError
from cxrscribe.archive.sources.disk import DiskFilms
from cxrscribe.archive.sources.members import check_size
from cxrscribe.errors import Reason
from cxrscribe.shortages import SHORTAGES

_TRIES: Final = 5
_SHORTEST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_WITNESSES: Final = 3
FETCHED_AHEAD: Final = 8
"""Films that are on their way at a time, where they come through a network."""

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


class FilmStore(Protocol):
    """What films are read from."""

    def expect(self, films: Sequence[PlannedFilm]) -> None:
        """Begin to fetch these films, and no others, where that takes long: they are read next, in order."""

    def read(self, film: PlannedFilm) -> bytes:
        """The bytes of a film. Raises QuarantinedError where it isn't what was planned, OSError."""

    def is_there(self, film: PlannedFilm) -> bool:
        """Whether anything at all is where this film was; if not, it isn't this film that is missing."""

    def forget(self, film: PlannedFilm) -> None:
        """Open again, for the next read, what this film was read from."""

    def close(self) -> None:
        """Close what is open."""


class FilmReader:
    """Reads films of one plan, for one thread; a context manager."""

    def __init__(self, root: str, sleep: Callable[[float], object] = time.sleep) -> None:
        """`root`: what the films' names are relative to, a folder or a URL. `sleep` waits so many seconds.

        Raises MissingExtraError.
        """
        self._films = _open_films(root)
        self._sleep = sleep

    def expect(self, films: Sequence[PlannedFilm]) -> None:
        """Say which films will be read next, in order: `FETCHED_AHEAD` of them."""
        self._films.expect(films)

    def read(self, film: PlannedFilm, others: Sequence[PlannedFilm] = ()) -> bytes:
        """The bytes of a film, if they are those that were planned.

        A fault of the storage is tried again, five times with growing pauses. If it lasts, but one of a few
        `others` can be read, it is this film's own.

        Raises QuarantinedError when there is something wrong with this film, StorageFaultError when the
        storage fails, OutOfResourcesError when this machine has no room to read any film.
        """
        fault = self._patiently(film)
        if isinstance(fault, bytes):
            return fault
        if isinstance(fault, OutOfResourcesError):  # which others' films say nothing about
            raise fault
        for other in others[:_WITNESSES]:
            if not isinstance(self._once(other), FaultError):
                raise QuarantinedError(
                    Reason.UNREADABLE, f"can't be read ({fault}), though others can; check the disk"
                )
        raise fault

    def _patiently(self, film: PlannedFilm) -> bytes | FaultError:
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

    def _once(self, film: PlannedFilm) -> bytes | QuarantinedError | FaultError:
        """The bytes, what is wrong with this film, or a fault in the system's words."""
        try:
            check_size(film)
            return self._films.read(film)
        except QuarantinedError as error:
            return error
        except FileNotFoundError:
            if not self._films.is_there(film):
                return StorageFaultError("its folder is empty, or all folders are gone")
            return QuarantinedError(
                Reason.MISSING, "does not exist any more; put it back, or start a new run without it"
            )
        except OSError as error:
            self._films.forget(film)
            said = error.strerror or type(error).__name__
            if error.errno in SHORTAGES:
                return OutOfResourcesError(said)
            if error.errno in _TRANSIENT:
                return StorageFaultError(said)
            return QuarantinedError(
                Reason.UNREADABLE,
                f"can't be opened ({said}); check its rights",
            )
        except MemoryError:
            return QuarantinedError(Reason.TOO_LARGE, "does not fit in memory; reduce it first")

    def close(self) -> None:
        """Close what is open."""
        self._films.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open_films(root: str) -> FilmStore:
    if is_url(root):
        from cxrscribe.archive.sources.objects import ObjectFilms

        return ObjectFilms(root)
    return DiskFilms(root)
