"""Exports that go through the real converter, made once a session."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .random_networks import Exported, ExportedDecoder

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


@pytest.fixture(scope="session")
def exported() -> Exported:
    """A whole random model."""
    from .random_networks import export_model

    return export_model()


@pytest.fixture(scope="session")
def exported_decoders() -> dict[int, ExportedDecoder]:
    """Random decoders by their number of layers."""
    from .random_networks import export_decoders

    return export_decoders()
