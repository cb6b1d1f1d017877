"""Where a run is kept: a folder whose files are made once, whole, and under a name that only one maker gets.

Everything that a run's correctness hangs on goes through `Folder.create`. It needs nothing of the file system
but what all of them promise: a hard link (or a rename that never replaces) either makes the name or finds it
taken, at one instant, for all machines.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Final

from cxrscribe.archive.places.place import UNFINISHED
from cxrscribe.errors import InputError
from cxrscribe.regular_file import open_regular

_OUR_UNFINISHED: Final = re.compile(re.escape(UNFINISHED) + "[0-9a-f]{16}")
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)  # for the reader of a pipe that bears a file's name
_A_DAY: Final = 86_400.0
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL})
_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1


class Folder:
    """A Place in a file system: local, NFS, Lustre.

    Files and folders that are made are their owner's alone (0600 and 0700): they name films. A file is on the
    disk before it has its name.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.url = str(self.path)
        self._made: set[Path] = set()

    def locate(self, name: str) -> str:
        return str(self.path / name)

    def holds(self, folder: Path) -> bool:
        return folder.resolve().is_relative_to(self.path.resolve())

    def create(self, name: str, content: bytes) -> bool:
        final = self.path / name
        with self._writing(name):
            self._make_folder(final.parent)
            temporary = final.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
            try:
                _write_durably(temporary, content)
                made = _give_name(temporary, final)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()
            _sync_folder(final.parent)
            return made

    def probe(self) -> None:
        name = f"{UNFINISHED}probe-{secrets.token_hex(8)}"
        try:
            first, second = self.create(name, b"1"), self.create(name, b"2")
            kept = self.read(name)
        finally:
            with suppress(OSError):
                (self.path / name).unlink()
        if not first or second or kept != b"1":
            raise InputError(
                f"{self.path} lets two writers make the same file, so that a run can't be kept in it; "
                "choose another place"
            )

    def read(self, name: str) -> bytes:
        try:
            with open_regular(self.path / name) as file:
                return file.readall()
        except OSError as error:
            raise _unreadable(self.path / name, error) from None

    def head(self, name: str, size: int) -> bytes:
        try:
            with BufferedReader(open_regular(self.path / name)) as file:
                return file.read(size)
        except OSError as error:
            raise _unreadable(self.path / name, error) from None

    def has(self, name: str) -> bool:
        try:
            (self.path / name).stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(self.path / name, error) from None
        return True

    def modified(self, name: str) -> float:
        try:
            return (self.path / name).stat().st_mtime
        except OSError as error:
            raise _unreadable(self.path / name, error) from None

    def names(self, folder: str) -> list[str]:
        found = []
        for place, folders, files in os.walk(self.path / folder, onerror=_refuse_listing):
            folders.sort()
            found += [Path(place, name).relative_to(self.path).as_posix() for name in files]
        return sorted(found)

    def replace(self, name: str, content: bytes) -> None:
        final = self.path / name
        temporary = final.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
        with self._writing(name):
            self._make_folder(final.parent)
            try:
                with _opened(temporary, os.O_EXCL) as file:
                    os.write(file, content)
                temporary.replace(final)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()

    def append(self, name: str, line: bytes) -> None:
        with self._writing(name):
            self._make_folder((self.path / name).parent)
            with _opened(self.path / name, os.O_APPEND) as file:
                os.write(file, line)

    def remove(self, name: str) -> None:
        with self._writing(name), suppress(FileNotFoundError):
            (self.path / name).unlink()

    def set_aside(self, name: str, new_name: str) -> None:
        with self._writing(name):
            self._make_folder((self.path / new_name).parent)
            (self.path / name).rename(self.path / new_name)
            _sync_folder((self.path / name).parent)

    def sweep(self, folders: Sequence[str]) -> int:
        if not self.path.is_dir():
            return 0
        with self._writing(""):
            clock = self.path / f"{UNFINISHED}{secrets.token_hex(8)}"
            with _opened(clock, os.O_EXCL) as file:
                now = os.fstat(file).st_mtime
            clock.unlink()
        beside = [entry.name for entry in self.path.iterdir()]
        swept = 0
        for name in [*beside, *(name for folder in folders for name in self.names(folder))]:
            path = self.path / name
            if _OUR_UNFINISHED.fullmatch(path.name):
                with suppress(OSError):  # someone else has just removed it, or finished it
                    if now - path.stat().st_mtime > _A_DAY:
                        path.unlink()
                        swept += 1
        return swept

    def _make_folder(self, folder: Path) -> None:
        """Make `folder`, which is this one or below it, and remember that it is there."""
        if folder in self._made:
            return
        if not folder.is_dir():
            if folder != self.path:
                self._make_folder(folder.parent)
            else:
                folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(_PRIVATE_FOLDER, exist_ok=True)
            _sync_folder(folder.parent)
        self._made.add(folder)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.path / name} can't be written ({error.strerror or error}); free some room, check the "
                "folder's rights, and give the same command again: what is committed stays"
            ) from None


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | _NO_WAIT | flags, _PRIVATE_FILE)
    try:
        yield file
    finally:
        os.close(file)


def _write_durably(path: Path, content: bytes) -> None:
    with _opened(path, os.O_EXCL) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)


def _give_name(temporary: Path, final: Path) -> bool:
    """Let the file be called `final` unless something else is; whether it is now. Raises OSError."""
    try:
        os.link(temporary, final)
    except FileExistsError:
        # A server that lost its answer to us has done what we asked for, and refuses the repetition (NFS).
        return temporary.stat().st_nlink == 2
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_if_absent(temporary, final)
    return True


def _rename_if_absent(temporary: Path, final: Path) -> bool:
    """As `_give_name`, where there are no hard links (exFAT, some FUSE). Raises OSError where it can't be."""
    rename = (
        getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    )
    if rename is None:
        raise OSError(errno.ENOTSUP, "no hard links there, and no rename that spares what is there")
    if rename(_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(final), _RENAME_NOREPLACE) == 0:
        return True
    problem = ctypes.get_errno()
    if problem == errno.EEXIST:
        return False
    raise OSError(problem, f"no hard links there, and renameat2 says: {os.strerror(problem)}")


def _sync_folder(folder: Path) -> None:
    """Let the names in `folder` survive a loss of power, where folders can be opened."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.EBADF,
        ):  # some file systems know no such thing
            raise
    finally:
        os.close(file)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} can't be read ({error.strerror or error}); check the run's folder")


def _refuse_listing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise InputError(
            f"{error.filename} can't be listed ({error.strerror}); check the run's folder"
        ) from None
