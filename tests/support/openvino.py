"""Whether OpenVINO can be tried here."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def openvino_is_installed() -> bool:
    return find_spec("openvino") is not None


needs_openvino = pytest.mark.skipif(not openvino_is_installed(), reason="openvino is not installed")
