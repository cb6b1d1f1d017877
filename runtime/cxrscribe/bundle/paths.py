"""A path inside a bundle: how it is written, and what may lie there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cxrscribe.errors import BundleError


def is_bundle_path(path: str) -> bool:
    """Whether `path` can only lead below the folder that it starts from.

    It has to be relative and normalized, with forward slashes: without `..`, `.` and empty parts.
    """
    parts = PurePosixPath(path).parts
    is_relative = path != "" and not path.startswith("/")
    is_normalized = path == "/".join(parts) and ".." not in parts
    return is_relative and is_normalized and not set(path) & set("\\:\0")


def file_inside(bundle: Path, path: str) -> Path:
    """The file at `path` below the folder `bundle`.

    Raises BundleError unless it is a regular file that really lies there: a pipe would be waited for, and a
    link could lead out.
    """
    file = bundle / path
    with opening(file):
        real = Path(os.path.realpath(file, strict=True))
        inside = real.is_relative_to(os.path.realpath(bundle, strict=True))
        is_regular = stat.S_ISREG(real.stat().st_mode)
    if not inside:
        raise BundleError(f"{file} is a link that leaves the bundle; put the file itself there")
    if not is_regular:
        raise BundleError(f"{file} is not a regular file; copy or export the bundle again")
    return file


@contextmanager
def opening(file: Path) -> Iterator[None]:
    """Turn what the system has against opening or reading `file` into a BundleError."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{file} can't be opened ({error.strerror}); copy or export the bundle again"
        ) from None
