"""Bundles of random weights, and films to go with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support import edited_manifest
from support.small_bundle import SmallBundle


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    """A bundle that a test may change, with external data."""
    return SmallBundle(external_data=True, hidden=16).write(tmp_path / "bundle")


@pytest.fixture
def edit_manifest() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """Change a bundle's manifest as JSON, and make its checksum fit again."""
    return edited_manifest.edit_manifest


@pytest.fixture(scope="session")
def films() -> list[NDArray[np.uint8]]:
    """Forty noisy films of different sizes, uint8 [h, w]."""
    random = np.random.default_rng(0)
    return [
        random.integers(0, 256, random.integers(20, 60, 2), dtype=np.uint8) // np.uint8(1 + i // 4)
        for i in range(40)
    ]
