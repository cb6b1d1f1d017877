"""OpenVINO's plugin: found, refused, and held to float32."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.errors import DeviceError
from cxrscribe.sessions.device import OPENVINO, Memory, Role
from cxrscribe.sessions.openvino import openvino_options, openvino_processors
from support.openvino import openvino_is_installed, openvino_works

_NAME = "OpenVINOExecutionProvider"
_CPU_NAME = "CPUExecutionProvider"
works = pytest.mark.skipif(
    not openvino_works(), reason="OpenVINO's plugin is absent, or not for this processor"
)


@pytest.fixture
def no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime knows of no device, whatever is registered."""
    monkeypatch.setattr("onnxruntime.get_ep_devices", list)


@pytest.mark.usefixtures("no_device")
def test_missing_package_names_the_extra(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_openvino", None)
    said = r"no working OpenVINOExecutionProvider \(onnxruntime-ep-openvino.*'cxrscribe\[openvino\]'"
    with pytest.raises(DeviceError, match=said):
        cxrscribe.load(small_bundle, device="openvino")


@pytest.mark.skipif(not openvino_is_installed(), reason="onnxruntime-ep-openvino is not installed")
@pytest.mark.usefixtures("no_device")
def test_processor_that_the_plugin_does_not_drive_is_an_error(small_bundle: Path) -> None:
    for _ in range(2):  # the plugin is registered at the first call, and is there at the second
        with pytest.raises(DeviceError, match="drives no processor of this machine"):
            cxrscribe.load(small_bundle, device="openvino")


@pytest.mark.skipif(not openvino_is_installed(), reason="onnxruntime-ep-openvino is not installed")
@pytest.mark.usefixtures("no_device")
def test_plugin_that_can_not_be_loaded_says_why(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime_ep_openvino.get_library_path", lambda: str(tmp_path / "none.so"))
    monkeypatch.setattr("cxrscribe.sessions.openvino._LIBRARY", "cxrscribe-openvino-broken")
    with pytest.raises(DeviceError, match=r"none\.so: cannot open shared object file"):
        cxrscribe.load(small_bundle, device="openvino")


def test_float32_stays_float32_unless_speed_was_asked_for() -> None:
    exact = json.loads(openvino_options(3, exact=True)["load_config"])
    assert exact == {"CPU": {"INFERENCE_NUM_THREADS": "3", "INFERENCE_PRECISION_HINT": "f32"}}
    free = json.loads(openvino_options(3, exact=False)["load_config"])
    assert free == {"CPU": {"INFERENCE_NUM_THREADS": "3"}}


def test_decoder_stays_with_onnxruntime() -> None:
    assert [provider.name for provider in OPENVINO.providers(Role.DECODER)] == [_CPU_NAME]
    assert OPENVINO.memory is Memory.CPU


@works
def test_plugin_is_registered_once() -> None:
    first, second = openvino_processors(), openvino_processors()
    assert [device.ep_name for device in first] == [device.ep_name for device in second] == [_NAME]


@works
def test_encoder_runs_there_and_gives_the_reports_of_the_cpu(
    small_bundle: Path, films: list[NDArray[np.uint8]]
) -> None:
    with (
        cxrscribe.load(small_bundle, device="openvino") as openvino,
        cxrscribe.load(small_bundle, device="cpu") as cpu,
    ):
        assert openvino.device == "openvino"
        encoder, *decoder = openvino.placement
        assert _NAME in encoder.nodes
        assert all(set(graph.nodes) == {_CPU_NAME} for graph in decoder)
        np.testing.assert_allclose(openvino.encode(films), cpu.encode(films), rtol=1e-5, atol=1e-5)
        pairs = zip(openvino.report_batch(films), cpu.report_batch(films), strict=True)
        assert all(first.tokens == second.tokens for first, second in pairs)


@works
def test_auto_does_not_take_it(small_bundle: Path) -> None:
    with cxrscribe.load(small_bundle) as reporter:
        assert reporter.device in ("cpu", "cuda")
