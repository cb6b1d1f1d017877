"""These tests need onnx of any release, and neither Paddle nor its converter."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("onnx") else ["test_*.py"]
