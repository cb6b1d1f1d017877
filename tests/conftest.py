"""Fixtures that tests of several packages share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights, which no test may change."""
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    return SmallBundle().write(tmp_path_factory.mktemp("small") / "bundle")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real reports and films that stands beside a developer's checkout, if any."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real reports and films here: {SHARED_DATA} is absent")
    return SHARED_DATA
