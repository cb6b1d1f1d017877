"""Films on a disk: files, and members of archives."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import QuarantinedError
from cxrscribe.archive.sources.listing import ABSENT
from cxrscribe.archive.sources.members import DAMAGED_THERE, READ_ONLY, UNLISTED, OpenArchive, open_archive
from cxrscribe.errors import Reason

_OPEN_ARCHIVES: Final = 4


class DiskFilms:
    """A FilmStore on a disk; it keeps a few archives open."""

    def __init__(self, root: str) -> None:
        """`root`: the folder that the films' names are relative to."""
        self._root = Path(root)
        self._archives: OrderedDict[str, OpenArchive] = OrderedDict()

    def expect(self, films: Sequence[PlannedFilm]) -> None:
        return

    def read(self, film: PlannedFilm) -> bytes:
        return self._member(film) if film.archive else self._file(film)

    def is_there(self, film: PlannedFilm) -> bool:
        # A disk that isn't mounted leaves an empty folder behind; one that someone has removed leaves others.
        place = (self._root / film.location).parent
        while not place.is_dir() and place != self._root:
            place = place.parent
        try:
            with os.scandir(place) as entries:
                return any(entries)
        except OSError:
            return False

    def forget(self, film: PlannedFilm) -> None:
        archive = self._archives.pop(film.archive, None)
        if archive is not None:
            archive.close()

    def close(self) -> None:
        while self._archives:
            self._archives.popitem()[1].close()

    def _file(self, film: PlannedFilm) -> bytes:
        if film.stamp == UNLISTED:
            raise QuarantinedError(
                Reason.UNREADABLE,
                "could not be listed to its end when the run was planned, so films in it may be missing "
                "here; repair it or its rights, and score it in a new run",
            )
        # A pipe that bears a film's name must not be waited for.
        file = os.open(self._root / film.location, READ_ONLY)
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
        try:
            return self._archive(film.archive).read(film)
        except (QuarantinedError, OSError, MemoryError):
            raise
        except Exception:  # those who read archives raise whatever comes to them
            raise QuarantinedError(Reason.UNREADABLE, DAMAGED_THERE) from None

    def _archive(self, name: str) -> OpenArchive:
        archive = self._archives.pop(name, None)
        if archive is None:
            archive = open_archive(str(self._root / name))
        self._archives[name] = archive
        if len(self._archives) > _OPEN_ARCHIVES:
            _, oldest = self._archives.popitem(last=False)
            oldest.close()
        return archive
