"""From a bundle's folder to a reporter that is ready to run."""

from __future__ import annotations

import os

from cxrscribe.bundle import DECODER_INIT, DECODER_STEP, ENCODER, Bundle
from cxrscribe.encoder import Encoder
from cxrscribe.manifest import FP32
from cxrscribe.onnx_step import OnnxStep
from cxrscribe.reporter import Reporter
from cxrscribe.session import SessionFactory


def load(
    bundle: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    verify: bool = True,
) -> Reporter:
    """Open the bundle in the folder `bundle`, ready to write reports.

    `device`: `cpu`, `cuda`, or `auto` for the best that works. `precision`: one that the bundle has, None for
    fp32. `threads`: of the CPU, None for as many as this process may use. `verify`: check the sha256 of every
    file that is opened.

    Raises BundleError when the bundle is damaged, unsafe or lacks the precision, DeviceError when the device
    that was asked for is not there, MissingExtraError when onnxruntime isn't installed.
    """
    opened = Bundle.open(bundle, verify=verify)
    sessions = SessionFactory(device, threads)
    chosen = precision if precision is not None else FP32
    graphs = [opened.graph(name, chosen) for name in (ENCODER, DECODER_INIT, DECODER_STEP)]
    encoder, init, step = (sessions.open(graph) for graph in graphs)
    manifest = opened.manifest
    picture = manifest.preprocessing
    return Reporter(
        manifest,
        Encoder(encoder, picture.height, picture.width, manifest.architecture.feature_size),
        OnnxStep(init, step, manifest.architecture),
        device=step.device.name,
        precision=chosen,
        threads=sessions.threads,
    )
