"""The folder of optimized and compiled graphs: entries, each with a record of what it is, and notes."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.graph_contents import external_files
from cxrscribe.errors import BundleError
from cxrscribe.sessions.cache_record import (
    GRAPH_NAME,
    MODEL_NAME,
    RECORD_NAME,
    WEIGHTS_NAME,
    CacheRecord,
    crc32_of,
)
from cxrscribe.sessions.trusted_folder import close_to_others, folder_problem, member_problem

VARIABLE: Final = "CXRSCRIBE_CACHE"
"""The environment variable that names the folder."""
_SUFFIX: Final = ".graph"  # of an entry's folder: nothing else in the cache's folder is ever removed
NOTE_SUFFIX: Final = ".note"  # of the only files that lie beside the entries
SCRATCH: Final = ".making-"
_ABANDONED_SECONDS: Final = 24 * 3600.0
_UNUSED_SECONDS: Final = 90 * 24 * 3600.0


def default_folder() -> Path | None:
    """$CXRSCRIBE_CACHE, or else the system's place for caches; None where the user has no home."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
            return Path(local) / "cxrscribe" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "cxrscribe"
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The specification has relative paths ignored.
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "cxrscribe"
    except RuntimeError:
        return None


@dataclass(frozen=True)
class CacheEntry:
    """One graph in the cache."""

    folder: Path
    record: CacheRecord

    @property
    def graph(self) -> Path:
        """The ONNX file, of a graph for onnxruntime."""
        return self.folder / GRAPH_NAME

    @property
    def model(self) -> Path:
        """What OpenVINO compiled, of a graph for OpenVINO."""
        return self.folder / MODEL_NAME

    @property
    def intact(self) -> bool:
        """Whether the files are regular, this user's and of the right size, and a graph names no others."""
        try:
            for file in self.record.files:
                path = self.folder / file.name
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
                    return False
                if member_problem(path, status) is not None:
                    return False
            if self.record.compiled is not None:
                return True
            return set(external_files(self.graph)) == {file.name for file in self.record.files[1:]}
        except (OSError, BundleError):
            return False

    @property
    def has_right_sums(self) -> bool:
        """Whether each file has the checksum of when it was written. Reads them all."""
        try:
            return all(crc32_of(self.folder / file.name) == file.crc32 for file in self.record.files)
        except OSError:
            return False


@dataclass(frozen=True)
class CacheFolder:
    """A folder of entries, each a folder with a graph, its weights and a record. It need not exist.

    No method raises because of what is in the folder or what the system has against it: a cache that doesn't
    work is no reason not to work.
    """

    path: Path

    @property
    def problem(self) -> str | None:
        """Why nothing may be read from the folder; None where something may, or where it isn't there."""
        return folder_problem(self.path)

    @property
    def is_writable(self) -> bool:
        """Whether entries can be added, as far as the system says so beforehand."""
        existing = next((folder for folder in (self.path, *self.path.parents) if folder.exists()), self.path)
        return self.problem is None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)

    def entry(self, key: str) -> CacheEntry | None:
        """The entry of that name, if it is there and looks intact; its content hasn't been read."""
        if self.problem is not None:
            return None
        entry = _read(self.path / f"{key}{_SUFFIX}")
        return entry if entry is not None and entry.intact else None

    def entries(self) -> list[CacheEntry]:
        """All entries whose record can be read, by graph and time."""
        found = [entry for folder in self._folders(_SUFFIX) if (entry := _read(folder)) is not None]
        return sorted(found, key=lambda entry: (entry.record.bundle, entry.record.graph, entry.record.made))

    @contextmanager
    def adding(self, key: str, expected_bytes: int = 0) -> Iterator[Path]:
        """A new empty folder, which becomes the entry of that name when the block ends well.

        Who comes second, of several processes that make the same entry, discards what it made. An entry that
        was there and is damaged is replaced. Raises OSError when there is no place to write to, or when an
        entry of about that size would leave less free than it takes.
        """
        self.make()
        if self.problem is not None:
            raise PermissionError(f"{self.path}: {self.problem}")
        self._tidy()
        self._check_space(2 * expected_bytes)
        with self._scratch() as scratch:
            made = scratch / "made"
            made.mkdir()
            yield made
            for path in (made, *made.iterdir()):  # whatever the umask, else they aren't taken
                close_to_others(path)
            self._publish(made, self.path / f"{key}{_SUFFIX}", scratch / "replaced")

    def make(self) -> None:
        """Let the folder be there, closed to others where it is new. Raises OSError."""
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self, entry: CacheEntry) -> bool:
        """Remove an entry. Whether it is gone."""
        return _remove(entry.folder)

    def clear(self) -> int:
        """Remove all entries, notes and what interrupted processes left, and nothing else.

        How many entries went.
        """
        for folder in self._folders("", SCRATCH):
            _remove(folder)
        for note in self.notes():
            with suppress(OSError):
                note.unlink()
        return sum(_remove(folder) for folder in self._folders(_SUFFIX))

    def notes(self) -> list[Path]:
        """Files of `CacheNotes`."""
        if self.problem is not None:
            return []
        return [
            file for file in self.path.glob(f"*{NOTE_SUFFIX}") if file.is_file() and not file.is_symlink()
        ]

    def use(self, entry: CacheEntry) -> None:
        """Note that an entry has been used, so that it isn't taken for forgotten."""
        with suppress(OSError):
            os.utime(entry.folder / RECORD_NAME)

    def note(self, entry: CacheEntry, record: CacheRecord) -> None:
        """Replace the record of an entry."""
        with suppress(OSError), self._scratch() as scratch:
            record.write(scratch)
            (scratch / RECORD_NAME).replace(entry.folder / RECORD_NAME)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A new folder beside the entries, removed in the end."""
        import shutil  # both take longer to import than it takes to find an entry, which needs neither
        import tempfile

        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=self.path))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _check_space(self, needed: int) -> None:
        import shutil  # see `_scratch`

        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise OSError(errno.ENOSPC, f"{self.path} has {free} bytes left, and {needed} are wanted")

    def _publish(self, made: Path, entry: Path, replaced: Path) -> None:
        for _ in range(2):
            try:
                made.rename(entry)
            except OSError:
                existing = _read(entry)
                if existing is not None and existing.intact and existing.has_right_sums:
                    return
                entry.rename(replaced)
            else:
                return

    def _tidy(self) -> None:
        """Remove what interrupted processes left, and entries that no load has asked for for a long time."""
        now = time.time()
        for folder in self._folders("", SCRATCH):
            with suppress(OSError):
                if now - folder.stat().st_mtime > _ABANDONED_SECONDS:
                    _remove(folder)
        for folder in self._folders(_SUFFIX):
            with suppress(OSError):
                if now - (folder / RECORD_NAME).stat().st_mtime > _UNUSED_SECONDS:
                    _remove(folder)
        for note in self.notes():
            most = _ABANDONED_SECONDS if note.name.startswith(SCRATCH) else _UNUSED_SECONDS
            with suppress(OSError):
                if now - note.stat().st_mtime > most:
                    note.unlink()

    def _folders(self, suffix: str, prefix: str = "") -> list[Path]:
        """Real folders, no links, whose names begin and end so."""
        if self.problem is not None:
            return []
        try:
            with os.scandir(self.path) as found:
                return [
                    Path(item.path)
                    for item in found
                    if item.name.startswith(prefix)
                    and item.name.endswith(suffix)
                    and item.is_dir(follow_symlinks=False)
                ]
        except OSError:
            return []


def _read(folder: Path) -> CacheEntry | None:
    try:
        for path in (folder, folder / RECORD_NAME):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode) or member_problem(path, status) is not None:
                return None
        return CacheEntry(folder, CacheRecord.read(folder))
    except (OSError, BundleError):
        return None


def _remove(folder: Path) -> bool:
    """Remove what the cache itself may have put into one of its folders, and then the folder."""
    with suppress(OSError):
        if folder.name.startswith(SCRATCH):  # it may hold an entry and one that it was to replace
            for inner in [item for item in folder.iterdir() if item.is_dir() and not item.is_symlink()]:
                _remove(inner)
        # The record first: what is half removed must not be taken for an entry.
        for name in (RECORD_NAME, GRAPH_NAME, WEIGHTS_NAME, MODEL_NAME):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    return not folder.exists()
