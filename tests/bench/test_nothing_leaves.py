"""What the heavier packages load asks no server either."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.traced import opened_sockets

LIBRARIES = """
import matplotlib.pyplot
import onnx
import paddle
import paddle2onnx

from cxrscribe_bench.systems.openvino_native import OpenVino
from cxrscribe_export.graphs.runner import GraphRunner
import cxrscribe

OpenVino(1, "fp32").fastest(cxrscribe.demo_bundle() / "decoder_init.onnx", [])
GraphRunner(onnx.load(cxrscribe.demo_bundle() / "decoder_init.onnx"))
import time
time.sleep(12)  # what onnxruntime's telemetry takes to look its server up, where it is on
"""


@pytest.mark.slow
def test_paddle_openvino_matplotlib_and_onnx_ask_no_server(tmp_path: Path) -> None:
    """The C library looks users up through a local socket (`AF_UNIX`); nothing else may be opened."""
    calls = opened_sockets(tmp_path, tmp_path / "calls", LIBRARIES)
    assert [call for call in calls if "AF_UNIX" not in call] == []
    home = {file.relative_to(tmp_path).parts[0] for file in tmp_path.rglob("*") if file.is_file()}
    assert home <= {"calls", ".cache", ".config"}  # matplotlib's list of fonts
    assert not (tmp_path / ".cache" / "Microsoft").exists()
