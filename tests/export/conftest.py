"""Exports that go through the real converter, made once a session."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.random_networks import Exported, ExportedDecoder

_WITHOUT_CONVERTER = {
    "test_reference.py",
    "test_search_record.py",
    "test_search_parity.py",
    "test_bundle_folder.py",
}

# paddle2onnx and the onnx that it needs have no wheel for Python 3.13; what doesn't need them runs there too.
if find_spec("paddle2onnx") is None:
    collect_ignore = [
        path.name for path in Path(__file__).parent.glob("test_*.py") if path.name not in _WITHOUT_CONVERTER
    ]


@pytest.fixture(scope="session", autouse=True)
def _short_timing() -> Iterator[None]:
    """Time no longer than needed for a number: no test here says how fast something is."""
    if find_spec("onnx") is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe_export.precision.speed.LEAST_SECONDS", 0.0)
        patch.setattr("cxrscribe_export.precision.cost.ENCODER_ROUNDS", 3)
        patch.setattr("cxrscribe_export.precision.cost.STEP_ROUNDS", 3)
        yield


@pytest.fixture(scope="session")
def exported() -> Exported:
    """A whole random model."""
    from support.random_networks import export_model

    return export_model()


@pytest.fixture(scope="session")
def exported_decoders() -> dict[int, ExportedDecoder]:
    """Random decoders by their number of layers."""
    from support.random_networks import export_decoders

    return export_decoders()
