from __future__ import annotations

import subprocess
import sys

import pytest

import cxrscribe


def test_public_names_are_these() -> None:
    assert set(cxrscribe.__all__) == {
        "BeamSettings",
        "BundleError",
        "BusyError",
        "CxrscribeError",
        "DecodingError",
        "DecodingStats",
        "DeviceError",
        "FilmError",
        "InputError",
        "Isolation",
        "MissingExtraError",
        "Reason",
        "Report",
        "ReportQueue",
        "Reporter",
        "SettingsError",
        "Study",
        "Vocabulary",
        "__version__",
        "demo_bundle",
        "demo_films",
        "errors",
        "load",
    }
    assert dir(cxrscribe) == sorted(cxrscribe.__all__)
    for name in cxrscribe.__all__:
        assert getattr(cxrscribe, name) is not None


def test_every_error_can_be_named_from_the_top() -> None:
    errors = {
        name
        for name, value in vars(cxrscribe.errors).items()
        if isinstance(value, type) and issubclass(value, cxrscribe.CxrscribeError)
    }
    assert {"CxrscribeError", "SettingsError"} < errors
    for name in errors:
        assert getattr(cxrscribe, name) is getattr(cxrscribe.errors, name)
        assert name in cxrscribe.__all__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        cxrscribe.nonsense  # noqa: B018


@pytest.mark.parametrize("touched", ["", "cxrscribe.BeamSettings(); cxrscribe.load; cxrscribe.errors"])
def test_import_brings_neither_onnxruntime_nor_pillow(touched: str) -> None:
    script = (
        f"import sys, cxrscribe; {touched}\n"
        "print(sorted({'onnxruntime', 'PIL', 'paddle', 'onnx', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_beam_search_needs_no_onnxruntime() -> None:
    script = (
        "import sys, cxrscribe.search.beam, cxrscribe.search.decoding; print('onnxruntime' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
