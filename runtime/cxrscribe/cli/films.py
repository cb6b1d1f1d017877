"""The films that a command line means: files, folders, globs, and lists on stdin."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscribe.errors import FilmError

STDIN: Final = "-"


@dataclass
class FilmArguments:
    """Paths of films, found while one iterates; once.

    A file stands for itself, whatever its suffix. A folder stands for all files in it, at any depth, with a
    film's suffix, by name. A pattern with `*`, `?` or `[` that is no file's name is a glob (`**` for any
    depth). `-` reads one path a line from `stdin`, as they come. An argument that gives no film at all ends
    up in `unmatched`, with the reason; a file that does not exist is left to the reader of films, which says
    so in its place.
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
            elif Path(argument).is_dir():
                yield from self._folder(argument)
            elif Path(argument).exists() or not glob.has_magic(argument):
                yield argument
            else:
                yield from self._glob(argument)

    def _folder(self, folder: str) -> Iterator[str]:
        from cxrscribe.film import FILM_SUFFIXES  # brings numpy, which the help doesn't need

        found = sorted(
            str(path)
            for path in Path(folder).rglob("*")
            if path.suffix.lower() in FILM_SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
        if not found:
            suffixes = ", ".join(FILM_SUFFIXES)
            self.unmatched[folder] = FilmError(f"{folder}: holds no file with a film's suffix ({suffixes})")
        yield from found

    def _glob(self, pattern: str) -> Iterator[str]:
        found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (the pattern may be absolute)
        if not found:
            self.unmatched[pattern] = FilmError(f"{pattern}: matches no file; check the pattern")
        for path in found:
            if Path(path).is_dir():
                if "**" not in pattern:  # which has given the folder's files already
                    yield from self._folder(path)
            else:
                yield path
