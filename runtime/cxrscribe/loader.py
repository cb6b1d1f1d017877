"""From a bundle's folder to a reporter that is ready to run."""

from __future__ import annotations

import os
from dataclasses import dataclass

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.bundle import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP, ENCODER, Bundle
from cxrscribe.bundle.graph_source import GraphSource
from cxrscribe.bundle.precision import FASTEST, choose_precision
from cxrscribe.errors import BundleError
from cxrscribe.networks.encoder import Encoder
from cxrscribe.networks.fused_step import FusedDecoder
from cxrscribe.networks.onnx_step import OnnxStep
from cxrscribe.reporter import Reporter
from cxrscribe.search.schedulers import Decoder
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.cache_folder import default_folder
from cxrscribe.sessions.device import Role
from cxrscribe.sessions.factory import SessionFactory, WantedGraph
from cxrscribe.sessions.placement import Placement
from cxrscribe.sessions.session import Session


def load(
    bundle: str | os.PathLike[str],
    *,
    device: str = "auto",
    precision: str | None = None,
    threads: int | None = None,
    spinning: bool = True,
    cache: bool | str | os.PathLike[str] = True,
    strict: bool = False,
    verify: bool = True,
) -> Reporter:
    """Open the bundle in the folder `bundle`, ready to write reports.

    `device`: `cpu`, `cuda`, `tensorrt`, `openvino`, or `auto` for the best that works. `precision`: one that
    the bundle has, `fastest`, or None for fp32. `threads`: of the CPU, None for as many as this process may
    use. `spinning`: whether they wait for work in a loop, which is quicker and takes the processor. `cache`:
    where graphs are kept as they were optimized for this machine: True for the user's folder, False for
    nowhere, or a folder. `strict`: give every call of the network the same number of rows, for machines where
    matrix products change with it; docs/decoding.md says what that costs. `verify`: check the sha256 of every
    file that is opened.

    Raises BundleError when the bundle is damaged, unsafe or lacks the precision, DeviceError when the device
    that was asked for is not there, MissingExtraError when onnxruntime isn't installed.
    """
    opened = Bundle.open(bundle, verify=verify)
    sessions = SessionFactory(
        device,
        threads,
        spinning=spinning,
        exact=precision != FASTEST,
        cache=open_cache(cache, default_folder()),
    )
    chosen = choose_precision(opened.manifest, precision, sessions.device.name)
    graphs = open_graphs(opened, sessions, chosen)
    if strict and not graphs.fused:
        raise BundleError(
            f"{opened.path} has no {BEAM_STEP}, which strict=True needs; export the bundle again"
        )
    manifest = opened.manifest
    picture = manifest.preprocessing
    return Reporter(
        manifest,
        Encoder(
            graphs.encoder,
            picture.height,
            picture.width,
            manifest.architecture.feature_size,
            padded=strict,
        ),
        graphs.decoder(manifest.architecture),
        device=sessions.device.name,
        precision=chosen,
        threads=sessions.threads,
        placement=graphs.placement,
        strict=strict,
    )


@dataclass(frozen=True)
class Graphs:
    """The graphs that a report takes."""

    encoder: Session
    init: Session
    step: Session
    fused: bool
    """Whether init and step are `beam_init` and `beam_step`, and not those of the canonical step."""

    def decoder(self, architecture: Architecture) -> Decoder:
        """Init and step as a decoder. Raises BundleError when they are not of this architecture."""
        kind = FusedDecoder if self.fused else OnnxStep
        return kind(self.init, self.step, architecture)

    @property
    def placement(self) -> tuple[Placement, ...]:
        """Where the nodes of each really run."""
        return (self.encoder.placement, self.init.placement, self.step.placement)


def open_graphs(bundle: Bundle, sessions: SessionFactory, precision: str) -> Graphs:
    """Open the graphs of one precision. Raises BundleError and DeviceError as `load` does."""
    fused = bundle.has_graph(BEAM_INIT, precision) and bundle.has_graph(BEAM_STEP, precision)
    init, step = (BEAM_INIT, BEAM_STEP) if fused else (DECODER_INIT, DECODER_STEP)
    roles = {ENCODER: Role.ENCODER, init: Role.DECODER, step: Role.DECODER}
    wanted = [WantedGraph(GraphSource(bundle, name, precision), role) for name, role in roles.items()]
    encoder, start, advance = sessions.open(wanted)
    return Graphs(encoder, start, advance, fused)
