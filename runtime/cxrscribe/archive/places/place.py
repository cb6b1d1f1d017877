"""What a run needs of the place that it is kept in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

URL_SCHEMES: Final = ("s3://", "gs://", "az://")
"""How the paths of object stores begin."""
UNFINISHED: Final = ".tmp-"
"""How the names of files begin that are being written."""


class Place(Protocol):
    """A place that a run is kept in. Names are relative to it, with forward slashes.

    Every method raises InputError, which names the file, when the system refuses something.
    """

    url: str
    """What it is called, also by other processes."""

    def locate(self, name: str) -> str:
        """What errors call a file."""

    def holds(self, folder: Path) -> bool:
        """Whether a folder is in here."""

    def create(self, name: str, content: bytes) -> bool:
        """Put a file with this content in place, unless there is one of that name; whether this call did.

        Whatever happens, the name means the whole content or nothing, also after a loss of power. Of any
        number of callers, on any machines, one makes the file.
        """

    def probe(self) -> None:
        """Raise InputError unless the place refuses the second of two makers of a file, as `create` needs."""

    def read(self, name: str) -> bytes:
        """The content of a file. Raises InputError when there is none, or it can't be read."""

    def head(self, name: str, size: int) -> bytes:
        """The first `size` bytes of a file. Raises InputError."""

    def has(self, name: str) -> bool:
        """Whether there is a file of this name."""

    def modified(self, name: str) -> float:
        """When a file was made: seconds on the clock of whoever keeps the files."""

    def names(self, folder: str) -> list[str]:
        """Names of all files below `folder`, at any depth, relative to the run's folder, sorted."""

    def replace(self, name: str, content: bytes) -> None:
        """Write a file that may be written again, and is no part of the truth; readers see a whole one."""

    def append(self, name: str, line: bytes) -> None:
        """Add a line to a file that only this process writes, and that is no part of the truth."""

    def remove(self, name: str) -> None:
        """Remove a file that is no part of the truth, if it is there."""

    def set_aside(self, name: str, new_name: str) -> None:
        """Give a file another name."""

    def sweep(self, folders: Sequence[str]) -> int:
        """Remove unfinished files of more than a day, from these folders and beside them; how many.

        What a killed process leaves behind disturbs nobody. Its age goes by the clock that stamped it.
        """


def is_url(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of an object store."""
    return str(path).startswith(URL_SCHEMES)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is one that someone is writing, or was when they died."""
    return name.rpartition("/")[2].startswith(UNFINISHED)
