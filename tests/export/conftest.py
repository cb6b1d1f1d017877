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
    "parity/test_reference.py",
    "parity/test_search_record.py",
    "parity/test_search_parity.py",
    "test_bundle_folder.py",
}
_WITH_ONNX_ALONE = {
    "commands/test_onefile.py",
    *(
        f"onefile/test_{name}.py"
        for name in ("check", "context", "demo", "file", "letterbox", "search", "stored_half", "variants")
    ),
}


def _absent(package: str, kept: set[str]) -> list[str]:
    """Test files to leave out where a package is absent: it has no wheel for some Pythons."""
    if find_spec(package) is not None:
        return []
    here = Path(__file__).parent
    found = (path.relative_to(here).as_posix() for path in here.rglob("test_*.py"))
    return [path for path in found if path not in kept]


collect_ignore = [
    *_absent("paddle2onnx", _WITHOUT_CONVERTER | _WITH_ONNX_ALONE),
    *_absent("onnx", _WITHOUT_CONVERTER),
]


@pytest.fixture(scope="session", autouse=True)
def _short_timing() -> Iterator[None]:
    """Time no longer than needed for a number: no test here says how fast something is."""
    if find_spec("onnx") is None:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cxrscribe_export.precision.speed.LEAST_SECONDS", 0.0)
        patch.setattr("cxrscribe_export.precision.speed.ENCODER_ROUNDS", 3)
        patch.setattr("cxrscribe_export.precision.speed.STEP_ROUNDS", 3)
        yield


@pytest.fixture(scope="session")
def exported() -> Exported:
    """A whole random model."""
    from support.random_networks import export_model

    return export_model()


@pytest.fixture(scope="session")
def exported_in_context() -> Exported:
    """A whole random model whose context acts at every step."""
    from cxrscribe.bundle.architecture import ContextSizes
    from support.random_networks import export_model

    return export_model(ContextSizes(patient_size=6, context_size=9, tags=5))


@pytest.fixture(scope="session")
def exported_decoders() -> dict[int, ExportedDecoder]:
    """Random decoders by their number of layers."""
    from support.random_networks import export_decoders

    return export_decoders()
