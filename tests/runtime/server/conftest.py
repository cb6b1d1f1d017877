"""Services of small bundles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import cxrscribe
from cxrscribe import Reporter
from support.http_service import Running, running


@pytest.fixture(scope="module")
def service(fused_bundle: Path) -> Iterator[Running]:
    """One that has room for all that tests ask."""
    with running(fused_bundle) as started:
        yield started


@pytest.fixture(scope="module")
def reporter(fused_bundle: Path) -> Iterator[Reporter]:
    """The same model, asked without HTTP."""
    with cxrscribe.load(fused_bundle, device="cpu") as loaded:
        yield loaded


@pytest.fixture(scope="module")
def context_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One whose model reads what is known of a patient."""
    pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
    from support.small_bundle import SmallBundle

    return SmallBundle(patient=4, fused=True).write(tmp_path_factory.mktemp("context") / "bundle")
