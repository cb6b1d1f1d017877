"""Small JSON documents beside the graphs in the cache's folder: what was found out about this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from json import dumps
from pathlib import Path
from typing import Final

from cxrscribe.errors import BundleError
from cxrscribe.file_lock import lock
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe.sessions.cache_folder import NOTE_SUFFIX, SCRATCH, CacheFolder
from cxrscribe.sessions.trusted_folder import close_to_others, member_problem

_MOST_BYTES: Final = 1 << 20
_ROOM: Final = 1 << 14
"""Bytes, a few times those of a note."""
_LOCK_SUFFIX: Final = ".lock"
_POLL_SECONDS: Final = 0.05
_SAFELY: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class CacheNotes:
    """Notes by name. As with graphs, whatever the system has against the folder, nothing here raises."""

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder

    @property
    def is_writable(self) -> bool:
        """Whether notes can be added, as far as the system says so beforehand."""
        return self._folder.is_writable

    def names(self, prefix: str) -> list[str]:
        """Names of the notes that begin so, in order; locks are none."""
        found = [file.name.removesuffix(NOTE_SUFFIX) for file in self._folder.notes()]
        return sorted(name for name in found if name.startswith(prefix) and not name.endswith(_LOCK_SUFFIX))

    def read(self, name: str) -> JsonObject | None:
        """The note of that name; None where there is none, it is damaged, or others may have written it."""
        file = self._file(name)
        try:
            if self._folder.problem is not None or member_problem(file, file.lstat()) is not None:
                return None
            return read_json_object(file, _MOST_BYTES, error=BundleError)
        except (OSError, BundleError):
            return None

    def use(self, name: str) -> None:
        """Note that a note has been used, so that it isn't taken for forgotten."""
        with suppress(OSError):
            os.utime(self._file(name), follow_symlinks=False)

    def write(self, name: str, note: Mapping[str, object]) -> bool:
        """Write a note in place of the one there is, if any. Whether it is there now."""
        import tempfile  # which takes longer to import than it takes to read a note

        if not self._make_folder():
            return False
        scratch: Path | None = None
        try:
            number, path = tempfile.mkstemp(prefix=SCRATCH, suffix=NOTE_SUFFIX, dir=self._folder.path)
            scratch = Path(path)
            with os.fdopen(number, "w", encoding="utf-8") as stream:
                stream.write(dumps(note, indent=1) + "\n")
            close_to_others(scratch)
            scratch.replace(self._file(name))
        except OSError:
            if scratch is not None:
                with suppress(OSError):
                    scratch.unlink()
            return False
        return True

    def try_to_write(self) -> bool:
        """Whether a note can be written, found out by writing one, which is removed again.

        On a full disk, or where a quota is used up, only that shows it.
        """
        import tempfile  # see `write`

        try:
            if not self.is_writable or not self._make_folder():
                return False
            with tempfile.NamedTemporaryFile(
                prefix=SCRATCH, suffix=NOTE_SUFFIX, dir=self._folder.path
            ) as file:
                file.write(bytes(_ROOM))
        except OSError:
            return False
        return True

    @contextmanager
    def alone(self, name: str, most_seconds: float) -> Iterator[None]:
        """While the block runs, no other process is in one of the same name.

        Waits for it for so many seconds at most; where nothing can be locked, nobody waits.
        """
        with ExitStack() as held:
            with suppress(OSError):
                if self._make_folder():
                    flags = os.O_RDWR | os.O_CREAT | _SAFELY
                    number = os.open(self._file(name, _LOCK_SUFFIX), flags, 0o600)
                    file = held.enter_context(os.fdopen(number, "r+b"))
                    given_up = time.monotonic() + most_seconds
                    while not lock(file) and time.monotonic() < given_up:
                        time.sleep(_POLL_SECONDS)
            yield

    def _make_folder(self) -> bool:
        with suppress(OSError):
            self._folder.make()
            return self._folder.problem is None
        return False

    def _file(self, name: str, suffix: str = "") -> Path:
        return self._folder.path / f"{name}{suffix}{NOTE_SUFFIX}"
