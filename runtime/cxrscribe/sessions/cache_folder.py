"""The folder of optimized graphs: entries, each with a record of what it was made from and what it holds."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.bundle import GraphFile
from cxrscribe.bundle.files import is_bundle_path
from cxrscribe.bundle.graph_contents import external_files
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe.regular_file import open_regular
from cxrscribe.sessions.trusted_folder import close_to_others, folder_problem, member_problem

GRAPH_NAME: Final = "graph.onnx"
WEIGHTS_NAME: Final = "weights.data"
RECORD_NAME: Final = "entry.json"
_MOST_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class SourceFile:
    """A file of the bundle, as it was when it was read."""

    path: str
    """Below the bundle's folder."""
    sha256: str
    mtime_ns: int

    @classmethod
    def of(cls, file: GraphFile) -> SourceFile:
        """What identifies the file."""
        return cls(file.entry.path, file.entry.sha256, file.mtime_ns)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"path": self.path, "sha256": self.sha256, "mtime_ns": self.mtime_ns}

    @classmethod
    def from_json(cls, fields: JsonObject) -> SourceFile:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            path=fields.text("path"),
            sha256=fields.text("sha256"),
            mtime_ns=fields.integer("mtime_ns"),
        )


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache, as it was written."""

    name: str
    bytes: int
    crc32: int
    """Finds damage in half the time of sha256. Neither would find forgery, which could be noted here too."""

    @classmethod
    def describe(cls, file: Path) -> CachedFile:
        """What the file is now. Raises OSError."""
        return cls(file.name, file.stat().st_size, crc32_of(file))

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"name": self.name, "bytes": self.bytes, "crc32": self.crc32}

    @classmethod
    def from_json(cls, fields: JsonObject) -> CachedFile:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        name = fields.text("name")
        if name not in (GRAPH_NAME, WEIGHTS_NAME):
            fields.refuse("name", f"{GRAPH_NAME!r} or {WEIGHTS_NAME!r}")
        return fields.make(cls, name=name, bytes=fields.integer("bytes"), crc32=fields.integer("crc32"))


@dataclass(frozen=True)
class CacheRecord:
    """Of one graph."""

    bundle: str
    """Folder of the bundle that the graph was first seen in."""
    made: str
    """When, in UTC: ISO 8601, to the second."""
    onnxruntime: str
    processor: str
    sources: tuple[SourceFile, ...]
    """The graph of the bundle, then its external data."""
    files: tuple[CachedFile, ...]
    """What was made from them: the graph and, unless all are small, its weights."""

    @property
    def graph(self) -> str:
        """What the bundle calls the graph."""
        return self.sources[0].path

    @property
    def external(self) -> dict[str, str]:
        """The sha256 of the graph's external data in the bundle, by path from the graph's folder."""
        folder = self.graph.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        return {source.path.removeprefix(prefix): source.sha256 for source in self.sources[1:]}

    @property
    def bytes(self) -> int:
        """Size of all files, this record not counted."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "bundle": self.bundle,
            "made": self.made,
            "onnxruntime": self.onnxruntime,
            "processor": self.processor,
            "sources": [source.to_json() for source in self.sources],
            "files": [file.to_json() for file in self.files],
        }

    def write(self, folder: Path) -> None:
        """Write the record into `folder`, beside the files. Raises OSError."""
        file = folder / RECORD_NAME
        file.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        close_to_others(file)

    @classmethod
    def read(cls, folder: Path) -> CacheRecord:
        """Read the record in `folder`. Raises BundleError when there is none, or it isn't one."""
        fields = read_json_object(folder / RECORD_NAME, _MOST_BYTES, error=BundleError)
        record = fields.make(
            cls,
            bundle=fields.text("bundle"),
            made=fields.text("made"),
            onnxruntime=fields.text("onnxruntime"),
            processor=fields.text("processor"),
            sources=tuple(map(SourceFile.from_json, fields.objects("sources"))),
            files=tuple(map(CachedFile.from_json, fields.objects("files"))),
        )
        record._check(folder)
        return record

    def _check(self, folder: Path) -> None:
        names = [file.name for file in self.files]
        if not self.sources or names not in ([GRAPH_NAME], [GRAPH_NAME, WEIGHTS_NAME]):
            raise BundleError(f"{folder / RECORD_NAME} names other files than are made; remove the folder")
        if not all(is_bundle_path(source.path) for source in self.sources):
            raise BundleError(f"{folder / RECORD_NAME} names a file outside its bundle; remove the folder")


def described(files: Sequence[Path]) -> tuple[CachedFile, ...]:
    """Those of the files that are there. Raises OSError."""
    return tuple(CachedFile.describe(file) for file in files if file.exists())


def crc32_of(file: Path) -> int:
    """Checksum of a file, read piece by piece into one small buffer. Raises OSError."""
    checksum, buffer = 0, memoryview(bytearray(_READ_BYTES))
    with open_regular(file, follow=False) as stream:
        while size := stream.readinto(buffer):
            checksum = zlib.crc32(buffer[:size], checksum)
    return checksum


VARIABLE: Final = "CXRSCRIBE_CACHE"
"""The environment variable that names the folder."""
_SUFFIX: Final = ".graph"  # of an entry's folder: nothing else in the cache's folder is ever removed
NOTE_SUFFIX: Final = ".note"  # of the only files that lie beside the entries
_SCRATCH: Final = ".making-"
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
        """The ONNX file."""
        return self.folder / GRAPH_NAME

    @property
    def intact(self) -> bool:
        """Whether the files are regular, this user's and of the right size, and the graph names no others."""
        try:
            for file in self.record.files:
                path = self.folder / file.name
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
                    return False
                if member_problem(path, status) is not None:
                    return False
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
        for folder in self._folders("", _SCRATCH):
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

        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.path))
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
        for folder in self._folders("", _SCRATCH):
            with suppress(OSError):
                if now - folder.stat().st_mtime > _ABANDONED_SECONDS:
                    _remove(folder)
        for folder in self._folders(_SUFFIX):
            with suppress(OSError):
                if now - (folder / RECORD_NAME).stat().st_mtime > _UNUSED_SECONDS:
                    _remove(folder)

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
        if folder.name.startswith(_SCRATCH):  # it may hold an entry and one that it was to replace
            for inner in [item for item in folder.iterdir() if item.is_dir() and not item.is_symlink()]:
                _remove(inner)
        # The record first: what is half removed must not be taken for an entry.
        for name in (RECORD_NAME, GRAPH_NAME, WEIGHTS_NAME):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    return not folder.exists()
