"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.square_corpus import write_squares


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """A new corpus folder with 8 training, 4 validation and 2 test films."""
    return write_squares(tmp_path / "corpus")
