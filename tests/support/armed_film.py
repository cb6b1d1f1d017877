"""A film that brings down, or holds up, whoever reads it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from support.archive_films import small_film

KILLER = 7
PATCH = """
import hashlib, os, time
from cxrscribe.films import preprocess
real = preprocess.Preprocessing.read_shown
def read(self, source, *rest):
    if isinstance(source, bytes) and hashlib.sha256(source).hexdigest() == DIGEST:
        HOW
    return real(self, source, *rest)
preprocess.Preprocessing.read_shown = read
"""


def arm(folder: Path, how: str) -> None:
    """Let every Python that starts with this folder on its path do that when it reads film 7."""
    digest = hashlib.sha256(small_film(KILLER)).hexdigest()
    (folder / "sitecustomize.py").write_text(PATCH.replace("DIGEST", repr(digest)).replace("HOW", how))
