"""The films that a command line means: files, folders, globs, and lists on stdin."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscribe.errors import FilmError, InputError

STDIN: Final = "-"


@dataclass
class FilmArguments:
    """Paths of films, found while one iterates; once.

    A file stands for itself, whatever its suffix. A folder stands for all files in it, at any depth, with a
    film's suffix, and DICOM files without one, by name; links to folders are followed, and each folder is
    searched once. A pattern with `*`, `?` or `[` that is no file's name is a glob (`**` for any depth); a
    folder that it matches stands for the films in it too, and no path comes twice. `-` reads one path a
    line from `stdin`, as they come.

    An argument that gives no film at all ends up in `unmatched` with the reason, and so does a folder that
    can't be searched. A file that does not exist is left to the reader of films, which says so in its place.
    """

    arguments: Sequence[str]
    stdin: Iterable[bytes]
    unmatched: dict[str, FilmError] = field(default_factory=dict)

    @property
    def is_endless(self) -> bool:
        """Whether paths come from stdin, so that their number can't be known."""
        return STDIN in self.arguments

    def __iter__(self) -> Iterator[str]:
        for argument in self.arguments:
            if argument == STDIN:
                yield from (os.fsdecode(path) for line in self.stdin if (path := line.rstrip(b"\r\n")))
            elif os.path.isdir(argument):  # noqa: PTH112 (Path's raises where nobody may look)
                yield from self._folder(argument)
            elif glob.has_magic(argument) and not os.path.lexists(argument):
                yield from self._glob(argument)
            else:
                yield argument

    def _folder(self, folder: str) -> Iterator[str]:
        found = sorted(self._search(folder))
        if not found and folder not in self.unmatched:
            suffixes = ", ".join(_suffixes())
            self.unmatched[folder] = FilmError(f"{folder}: holds no file with a film's suffix ({suffixes})")
        yield from found

    def _glob(self, pattern: str) -> Iterator[str]:
        found: dict[str, None] = {}  # an ordered set
        for path in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 (the pattern may be absolute)
            is_folder = os.path.isdir(path)  # noqa: PTH112
            found |= dict.fromkeys(sorted(self._search(path)) if is_folder else [str(Path(path))])
        if not found:
            self.unmatched[pattern] = FilmError(f"{pattern}: matches no film; check the pattern")
        yield from found

    def _search(self, folder: str) -> Iterator[str]:
        """The films below `folder`, in no order."""
        from cxrscribe.films.film import looks_like_film  # brings numpy, which the help doesn't need

        searched: set[str] = set()
        for place, folders, files in os.walk(folder, onerror=self._unsearchable, followlinks=True):
            real = os.path.realpath(place)
            if real in searched:  # reached by a link once more, maybe in a circle
                folders.clear()
                continue
            searched.add(real)
            folders.sort()
            for name in files:
                if looks_like_film(path := str(Path(place, name))):
                    yield path

    def _unsearchable(self, error: OSError) -> None:
        folder, reason = str(error.filename), error.strerror
        self.unmatched[folder] = FilmError(f"{folder}: can't be searched ({reason}); check its rights")


def stdin_lines() -> Iterator[bytes]:
    """The lines of stdin, as they come. Raises InputError when it can't be read.

    Read past Python's buffer: a thread that waits in there when the program ends makes the interpreter abort.
    """
    if sys.stdin is None:
        raise InputError("stdin is closed; pipe a list of paths into it, or leave - out")
    try:
        yield from getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    except OSError as error:
        raise InputError(f"stdin can't be read ({error.strerror}); pipe a list of paths into it") from None


def _suffixes() -> tuple[str, ...]:
    from cxrscribe.films.film import FILM_SUFFIXES  # brings numpy, which the help doesn't need

    return FILM_SUFFIXES
