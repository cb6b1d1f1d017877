"""A bundle that has been opened on a device: what a Reporter is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cxrscribe.bundle.manifest import Manifest
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.rules import FILM_MODALITIES
from cxrscribe.networks.encoder import Encoder
from cxrscribe.search.expander import Decoder
from cxrscribe.sessions.session import Placement

if TYPE_CHECKING:
    from pathlib import Path

    from cxrscribe.patient_text import PatientText
    from cxrscribe.tuning.choice import Choice


@dataclass(frozen=True)
class OpenedBundle:
    """Its manifest, its networks, and how they were opened."""

    manifest: Manifest
    encoder: Encoder
    decoder: Decoder
    device: str
    """Name of the one that was chosen."""
    precision: str
    """Of encoder and decoder, as `PrecisionPair` names it."""
    threads: int
    placement: tuple[Placement, ...]
    """Of each graph."""
    strict: bool = False
    isolation: Isolation = field(default_factory=Isolation)
    """Which films are decoded in processes of their own."""
    modalities: tuple[str, ...] = FILM_MODALITIES
    """Which modalities of DICOM are read; empty for all."""
    folder: Path | None = None
    """Where the bundle is; None for one that isn't in a folder."""
    patient_text: PatientText | None = None
    """How the model reads what is known of a patient; None where it sees the film alone."""
    indication_from_dicom: str | None = None
    """Keyword of the attribute of DICOM films that says it; None for none."""
    engines: tuple[str, str] = ("", "")
    """What runs encoder and decoder, at which precision: `openvino int8`, `cpu fp32`."""
    choice: Choice | None = None
    """How device and precision were chosen; None where they were given."""
