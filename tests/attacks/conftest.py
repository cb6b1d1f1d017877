"""Attacks write graphs with `onnx`, which has no release for every Python."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx", reason="needs onnx, which has no release for this Python")
