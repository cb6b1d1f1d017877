"""The films that a command line means: files, folders, globs, lists and archives, one after the other."""

from __future__ import annotations

import codecs
import errno
import glob
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO, Final, NamedTuple

from cxrscribe.archive.places.place import is_url
from cxrscribe.archive.plan import Listed, film_id
from cxrscribe.archive.sources.members import (
    SNIFFED_BYTES,
    UNLISTED,
    check_shortage,
    is_archive,
    list_members,
    listed_file,
    open_regular,
)
from cxrscribe.errors import InputError
from cxrscribe.films.film import FILM_SUFFIXES, looks_like_film

STDIN: Final = "-"
LIST_PREFIX: Final = "@"
ABSENT: Final = "absent"
"""The stamp of a film that a list names and that isn't there."""


@dataclass(frozen=True)
class _Source:
    """One argument: what it is, and where what it means begins."""

    name: str
    """Its absolute path; `-` and `@FILE` for lists."""
    base: str
    """The folder that all its films are below."""
    paths: IO[str] | None = None
    """The entries of a list, one a line; None for anything else."""

    @property
    def is_glob(self) -> bool:
        """Whether it is a pattern, and not a file's name that looks like one."""
        return self.paths is None and glob.has_magic(self.name) and not os.path.lexists(self.name)


class Sources:
    """SOURCE arguments, read once.

    A folder stands for all films in it, at any depth, in the order of their names: files with a film's
    suffix, DICOM files without one, by their content, and what archives (.tar, .tar.gz, .tgz, .zip) hold;
    links to folders are followed, and each folder is searched once. A file stands for itself, whatever its
    suffix. A pattern with `*`, `?` or `[` is a glob (`**` for any depth). `-` and `@FILE` are lists of
    paths, one a line, from `stdin` and from a file. A film that is meant twice is given once.

    Raises InputError when an argument is nothing of that kind.
    """

    def __init__(self, arguments: Sequence[str], stdin: Iterable[bytes] = ()) -> None:
        self._sources = [_source(argument, stdin) for argument in arguments]
        if not self._sources:
            raise InputError("no source of films was given; give folders, files, archives or lists")
        self.names = source_names(arguments)
        """What a run is compared by."""
        try:
            self.root = os.path.commonpath([source.base for source in self._sources])
            """The folder that the films' names are relative to."""
        except ValueError:  # drives of Windows
            raise InputError(f"{', '.join(self.names)}: are on several drives; make a run for each") from None
        self._prefix = os.path.join(self.root, "")  # noqa: PTH118 (with a separator at its end)
        self._folders: set[tuple[int, int]] = set()
        self._seen: set[bytes] | None = None
        if len(self._sources) > 1 or self._sources[0].paths is not None:
            self._seen = set()

    def films(self) -> Iterator[Listed]:
        """The films, one by one; what can't be listed is one of them, and its row will say so."""
        for source in self._sources:
            for film in self._of(source):
                if self._seen is not None:
                    key = film_id(film.film)
                    if key in self._seen:
                        continue
                    self._seen.add(key)
                yield film

    def _of(self, source: _Source) -> Iterator[Listed]:
        if source.paths is not None:
            with closing(source.paths) as paths:
                paths.seek(0)
                for line in paths:
                    yield from self._path(line.rstrip("\n"))
        elif source.is_glob:
            for path in sorted(glob.glob(source.name, recursive=True)):  # noqa: PTH207 (absolute)
                if os.path.isdir(path):  # noqa: PTH112
                    yield from self._folder(path)
                else:
                    yield from self._path(path)
        else:
            yield from self._path(source.name)

    def _path(self, path: str) -> Iterator[Listed]:
        if os.path.isdir(path):  # noqa: PTH112 (Path's raises where nobody may look)
            yield from self._folder(path)
        else:
            yield from self._file(path)

    def _file(self, path: str) -> Iterator[Listed]:
        name = self._name(path)
        if is_archive(path):
            yield from list_members(path, name)
            return
        try:
            status = os.stat(path)  # noqa: PTH116 (of each file)
        except OSError as error:
            check_shortage(error, path)
            yield listed_file(name, -1, ABSENT)
        else:
            yield listed_file(name, status.st_size, str(status.st_mtime_ns))

    def _folder(self, folder: str) -> Iterator[Listed]:
        """The films below `folder`, by name; a folder's films stand where its name does."""
        levels = [iter([_Entry(folder, True)])]
        while levels:
            entry = next(levels[-1], None)
            if entry is None:
                levels.pop()
            elif not entry.is_folder:
                if is_archive(entry.path) or looks_like_film(entry.path, partial(_head, entry.path)):
                    yield from self._file(entry.path)
            elif self._is_new(entry.path):
                try:
                    levels.append(iter(_entries(entry.path)))
                except OSError as error:
                    check_shortage(error, entry.path)
                    yield listed_file(self._name(entry.path), -1, UNLISTED)

    def _is_new(self, folder: str) -> bool:
        """Whether a folder hasn't been searched yet: links may lead to it again, maybe in a circle."""
        try:
            status = os.stat(folder)  # noqa: PTH116
        except OSError:
            return True
        key = (status.st_dev, status.st_ino)
        if key in self._folders:
            return False
        self._folders.add(key)
        return True

    def _name(self, path: str) -> str:
        """The path below the root, with forward slashes."""
        name = path[len(self._prefix) :] or "."
        return name if os.sep == "/" else name.replace(os.sep, "/")


class _Entry(NamedTuple):
    """What stands in a folder."""

    path: str
    is_folder: bool


def _entries(folder: str) -> list[_Entry]:
    """What stands in a folder, by name. Raises OSError."""
    with os.scandir(folder) as entries:
        return sorted(_Entry(entry.path, _is_folder(entry)) for entry in entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether what stands in a folder is one, or nobody can tell: then it can't be listed, and a row says so.

    Where a link leads nowhere, or in a circle, nothing is; what has the name of a film or an archive is taken
    for one, whose row will say what is wrong.
    """
    try:
        return entry.is_dir()
    except OSError as error:
        check_shortage(error, entry.path)
        leads_nowhere = error.errno in (errno.ELOOP, errno.ENAMETOOLONG)
        return not (leads_nowhere or is_archive(entry.path) or entry.path.lower().endswith(FILM_SUFFIXES))


def _head(path: str) -> bytes:
    """The first bytes of a file; none where it isn't one that can be read. Raises InputError."""
    try:
        with open_regular(path) as file:
            return file.read(SNIFFED_BYTES)
    except OSError as error:
        check_shortage(error, path)
        return b""


def source_names(arguments: Sequence[str]) -> tuple[str, ...]:
    """SOURCE arguments as a run is compared by them: as absolute paths. Nothing is read."""
    return tuple(_absolute(argument) for argument in arguments)


def _absolute(argument: str) -> str:
    if argument == STDIN:
        return STDIN
    if is_url(argument):
        return argument.rstrip("/")
    if _is_list(argument):
        return f"{LIST_PREFIX}{os.path.abspath(argument[len(LIST_PREFIX) :])}"  # noqa: PTH100 (follows no links)
    return os.path.abspath(argument)  # noqa: PTH100


def _is_list(argument: str) -> bool:
    return argument.startswith(LIST_PREFIX) and not os.path.lexists(argument)


def _source(argument: str, stdin: Iterable[bytes]) -> _Source:
    name = _absolute(argument)
    if argument == STDIN:
        return _list(STDIN, stdin)
    if _is_list(argument):
        try:
            with open(name[len(LIST_PREFIX) :], "rb") as lines:  # noqa: PTH123
                return _list(name, lines)
        except OSError as error:
            raise InputError(
                f"{argument}: the list can't be read ({error.strerror}); check the path"
            ) from None
    if os.path.isdir(name):  # noqa: PTH112
        if not os.access(name, os.R_OK | os.X_OK):
            raise InputError(f"{argument}: can't be searched; check its rights")
        return _Source(name, name)
    if os.path.lexists(name):
        return _Source(name, os.path.dirname(name))  # noqa: PTH120
    if not glob.has_magic(name):
        raise InputError(f"{argument}: there is no such file or folder; check the path")
    base = name
    while glob.has_magic(base):
        base = os.path.dirname(base)  # noqa: PTH120
    return _Source(name, base)


def _list(name: str, lines: Iterable[bytes]) -> _Source:
    """A list whose entries are kept in a temporary file: their common folder has to be known first."""
    paths = tempfile.TemporaryFile(  # noqa: SIM115 (closed once it is read)
        "w+", encoding=sys.getfilesystemencoding(), errors="surrogateescape", newline="\n"
    )
    base = ""
    for number, line in enumerate(lines):
        if b"\0" in line:
            paths.close()
            raise InputError(f"{name}: line {number + 1} is no path; save the list as UTF-8, one path a line")
        path = os.fsdecode(line.removeprefix(codecs.BOM_UTF8 if not number else b"").rstrip(b"\r\n"))
        if not path:
            continue
        path = os.path.abspath(path)  # noqa: PTH100
        folder = os.path.dirname(path)  # noqa: PTH120
        base = os.path.commonpath([base, folder]) if base else folder
        paths.write(f"{path}\n")
    if not base:
        paths.close()
        raise InputError(f"{name}: the list is empty; give one path a line")
    return _Source(name, base, paths)
