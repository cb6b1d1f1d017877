"""Paddle layers to raw ONNX graphs, through paddle2onnx in a child process.

paddle2onnx ends the process on some errors (SystemExit, SIGABRT), so it gets one of its own. Its default
optimizer runs pip when it misses a module; `optimize_tool="None"` keeps it from that.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cxrscribe.bundle.contract import GraphInterface
from cxrscribe.errors import CxrscribeError, InputError, MissingExtraError

OPSET: Final = 17
TIME_LIMIT: Final = 900.0
"""Seconds for all graphs of one bundle; a ResNet-101 takes about ten."""

_NEWEST_PYTHON: Final = (3, 12)
_LINES_SHOWN: Final = 8

_CHILD: Final = """
import sys
import paddle2onnx
for stem in sys.argv[2:]:
    paddle2onnx.export(
        stem + ".json",
        stem + ".pdiparams",
        stem + ".onnx",
        opset_version=int(sys.argv[1]),
        optimize_tool="None",
    )
"""


class ConversionError(CxrscribeError, RuntimeError):
    """paddle2onnx couldn't convert a network, or what it wrote is not what the bundle needs."""


@dataclass(frozen=True)
class Traced:
    """A Paddle layer and the interface that its graph must have.

    The layer's forward takes the interface's inputs in order and gives its outputs in order.
    """

    layer: Any  # paddle.nn.Layer
    interface: GraphInterface


def require_converter() -> None:
    """Check that this Python can export, before any work is done.

    Raises:
        InputError: this Python is newer than the newest one that paddle2onnx has a wheel for.
        MissingExtraError: paddle, paddle2onnx or onnx is not installed.
    """
    if sys.version_info[:2] > _NEWEST_PYTHON:
        version = ".".join(str(part) for part in sys.version_info[:2])
        raise InputError(
            f"export doesn't run on Python {version}: paddle2onnx has wheels for 3.11 and 3.12 only. Make an "
            "environment with one of those and install 'cxrscribe[export]' there; "
            "the bundle runs on newer ones too"
        )
    for module in ("paddle", "paddle2onnx", "onnx", "onnxruntime"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError("cxrscribe export", "export")


def convert(networks: Sequence[Traced], folder: Path) -> list[Path]:
    """Trace each network and convert it to an ONNX file, names and constants as the converter left them.

    Args:
        networks: what to convert; the layers are put into evaluation mode.
        folder: an existing empty folder for the files.

    Returns:
        The ONNX files, in the order of `networks`.

    Raises:
        ConversionError: the converter failed; the message names the graph and ends with its last words.
    """
    stems = [folder / f"{place}_{network.interface.stem}" for place, network in enumerate(networks)]
    for network, stem in zip(networks, stems, strict=True):
        _save(network, stem)
    command = [sys.executable, "-c", _CHILD, str(OPSET), *(str(stem) for stem in stems)]
    # PIP_NO_INDEX: should a converter ever reach for pip again, it finds nothing to install.
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    try:
        child = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConversionError(
            f"paddle2onnx did not finish within {TIME_LIMIT:.0f} s; it was stopped"
        ) from None
    written = [stem.with_suffix(".onnx") for stem in stems]
    missing = [network for network, path in zip(networks, written, strict=True) if not path.is_file()]
    if child.returncode != 0 or missing:
        words = "\n".join((child.stdout + child.stderr).strip().splitlines()[-_LINES_SHOWN:])
        graph = (missing or networks)[0].interface.name
        raise ConversionError(
            f"paddle2onnx ended with {child.returncode} while converting {graph!r}. Its last lines:\n{words}"
        )
    return written


def _save(network: Traced, stem: Path) -> None:
    import paddle

    network.layer.eval()
    specification = [
        paddle.static.InputSpec(
            [None if isinstance(axis, str) else axis for axis in tensor.shape], tensor.dtype, tensor.name
        )
        for tensor in network.interface.inputs
    ]
    paddle.jit.save(network.layer, str(stem), input_spec=specification)
