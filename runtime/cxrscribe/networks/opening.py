"""From a bundle's graphs to its networks: which graphs these are, at which precisions, opened on a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP, ENCODER
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import BF16, PrecisionPair
from cxrscribe.errors import BundleError
from cxrscribe.networks.encoder import Encoder
from cxrscribe.networks.fused_step import FusedDecoder
from cxrscribe.networks.onnx_step import OnnxStep
from cxrscribe.search.expander import Decoder
from cxrscribe.sessions.device import Role
from cxrscribe.sessions.factory import SessionFactory, WantedGraph
from cxrscribe.sessions.session import GraphSession, Placement, native_sessions

_CANONICAL: Final = (DECODER_INIT, DECODER_STEP)
_FUSED: Final = (BEAM_INIT, BEAM_STEP)


@dataclass(frozen=True)
class Networks:
    """All that a report takes."""

    encoder: Encoder
    decoder: Decoder
    placement: tuple[Placement, ...]
    """Where the nodes of each graph really run."""


def open_networks(
    bundle: Bundle, sessions: SessionFactory, precision: PrecisionPair, *, strict: bool
) -> Networks:
    """Encoder and decoder on the same device. `strict`: always with the same number of rows.

    Raises BundleError when a graph is damaged or missing, DeviceError when the device doesn't work.
    """
    if strict and not _is_fused(bundle, precision):
        raise BundleError(
            f"{bundle.path} has no {BEAM_STEP}, which strict=True needs; export the bundle again"
        )
    encoder, *others = sessions.open([_encoder(bundle, precision), *_decoder(bundle, precision)])
    return Networks(
        _as_encoder(bundle, encoder, strict=strict),
        _as_decoder(bundle, sessions, precision, others),
        tuple(session.placement for session in (encoder, *others)),
    )


def open_encoder(
    bundle: Bundle, sessions: SessionFactory, precision: PrecisionPair, *, strict: bool
) -> Encoder:
    """The encoder alone. Raises as `open_networks`."""
    (session,) = sessions.open([_encoder(bundle, precision)])
    return _as_encoder(bundle, session, strict=strict)


def open_decoder(bundle: Bundle, sessions: SessionFactory, precision: PrecisionPair) -> Decoder:
    """The decoder alone. Raises as `open_networks`."""
    return _as_decoder(bundle, sessions, precision, sessions.open(_decoder(bundle, precision)))


def _is_fused(bundle: Bundle, precision: PrecisionPair) -> bool:
    return all(bundle.has_graph(name, precision.decoder) for name in _FUSED)


def _encoder(bundle: Bundle, precision: PrecisionPair) -> WantedGraph:
    arithmetic = BF16 if precision.encoder == BF16 else FP32
    return WantedGraph(
        GraphSource(bundle, ENCODER, precision.encoder_graphs), Role.ENCODER, arithmetic=arithmetic
    )


def _decoder(bundle: Bundle, precision: PrecisionPair) -> list[WantedGraph]:
    return _wanted(bundle, precision, _FUSED if _is_fused(bundle, precision) else _CANONICAL)


def _wanted(bundle: Bundle, precision: PrecisionPair, names: Sequence[str]) -> list[WantedGraph]:
    return [WantedGraph(GraphSource(bundle, name, precision.decoder), Role.DECODER) for name in names]


def _as_encoder(bundle: Bundle, session: GraphSession, *, strict: bool) -> Encoder:
    manifest = bundle.manifest
    return Encoder(session, manifest.architecture, manifest.preprocessing, padded=strict)


def _as_decoder(
    bundle: Bundle, sessions: SessionFactory, precision: PrecisionPair, opened: Sequence[GraphSession]
) -> Decoder:
    architecture = bundle.manifest.architecture
    init, step = native_sessions(opened)
    if not _is_fused(bundle, precision):
        return OnnxStep(init, step, architecture)

    def canonical() -> OnnxStep:
        init, step = native_sessions(sessions.open(_wanted(bundle, precision, _CANONICAL)))
        return OnnxStep(init, step, architecture)

    return FusedDecoder(init, step, architecture, canonical)
