"""Whether OpenVINO can be tried here."""

from __future__ import annotations

from importlib.util import find_spec

from cxrscribe.errors import DeviceError
from cxrscribe.sessions.openvino import openvino_processors


def openvino_is_installed() -> bool:
    return find_spec("onnxruntime_ep_openvino") is not None


def openvino_works() -> bool:
    """Installed, and made for this processor."""
    try:
        return bool(openvino_processors())
    except DeviceError:
        return False
