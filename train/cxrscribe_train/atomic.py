"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cxrscribe.errors import InputError


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, making its folder; a reader sees the old file or the new one.

    Raises InputError when the folder can't be made or written to, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with writing(path):
            # Not by tempfile: it makes private files, and these are shared like any other of their owner.
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        # The folder may be a file, or the name too long: then there is nothing to remove.
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make the folder of `path`; an OSError in the block becomes an InputError that names `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise InputError(
            f"can't write {path} ({error.strerror or error}); free some space or choose another folder"
        ) from error
