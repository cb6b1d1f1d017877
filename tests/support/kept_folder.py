"""Folders of what takes long to build, and stays from one run of the tests to the next."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

BUILD = Path(__file__).resolve().parents[2] / "build" / "tests"


def kept_folder(name: str, temporary: pytest.TempPathFactory) -> Path:
    """A folder in the repository's `build`, or, where nothing can be written there, of this run alone."""
    folder = BUILD / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return temporary.mktemp(name)
