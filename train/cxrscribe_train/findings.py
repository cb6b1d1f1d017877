"""The findings that a phantom can show: what they are called and where they can sit.

Sides are the patient's: on a film the patient's right is at the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FindingKind(StrEnum):
    """What is seen. The labeller, the wording and the drawing all speak in these names."""

    CARDIOMEGALY = "cardiomegaly"
    PLEURAL_EFFUSION = "pleural_effusion"
    PNEUMOTHORAX = "pneumothorax"
    CONSOLIDATION = "consolidation"
    NODULE = "nodule"
    MASS = "mass"
    ATELECTASIS = "atelectasis"
    INTERSTITIAL_MARKINGS = "interstitial_markings"
    EMPHYSEMA = "emphysema"
    GRANULOMA = "granuloma"
    ELEVATED_HEMIDIAPHRAGM = "elevated_hemidiaphragm"
    HIATAL_HERNIA = "hiatal_hernia"
    SCOLIOSIS = "scoliosis"
    PACEMAKER = "pacemaker"
    STERNOTOMY_WIRES = "sternotomy_wires"
    CENTRAL_LINE = "central_line"


class Side(StrEnum):
    """The patient's side. For scoliosis: the side that the curve is convex to."""

    LEFT = "left"
    RIGHT = "right"
    BILATERAL = "bilateral"
    NONE = ""


class Zone(StrEnum):
    """Third of the lung, counted from the apex."""

    UPPER = "upper"
    MID = "mid"
    LOWER = "lower"
    NONE = ""


class Severity(StrEnum):
    """How marked it is; reports say small or large instead where a size is meant."""

    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"
    NONE = ""


ONE_SIDE = (Side.LEFT, Side.RIGHT)
ANY_SIDE = (Side.LEFT, Side.RIGHT, Side.BILATERAL)
NO_SIDE = (Side.NONE,)
ALL_ZONES = (Zone.UPPER, Zone.MID, Zone.LOWER)
NO_ZONE = (Zone.NONE,)
ALL_SEVERITIES = (Severity.MILD, Severity.MODERATE, Severity.SEVERE)
NO_SEVERITY = (Severity.NONE,)


@dataclass(frozen=True)
class Variation:
    """The values that a finding's side, zone and severity can take."""

    sides: tuple[Side, ...]
    zones: tuple[Zone, ...]
    severities: tuple[Severity, ...]


VARIATIONS: dict[FindingKind, Variation] = {
    FindingKind.CARDIOMEGALY: Variation(NO_SIDE, NO_ZONE, ALL_SEVERITIES),
    FindingKind.PLEURAL_EFFUSION: Variation(ANY_SIDE, NO_ZONE, ALL_SEVERITIES),
    FindingKind.PNEUMOTHORAX: Variation(ONE_SIDE, NO_ZONE, ALL_SEVERITIES),
    FindingKind.CONSOLIDATION: Variation(ONE_SIDE, ALL_ZONES, ALL_SEVERITIES),
    FindingKind.NODULE: Variation(ONE_SIDE, ALL_ZONES, NO_SEVERITY),
    FindingKind.MASS: Variation(ONE_SIDE, ALL_ZONES, NO_SEVERITY),
    FindingKind.ATELECTASIS: Variation(ANY_SIDE, (Zone.MID, Zone.LOWER), NO_SEVERITY),
    FindingKind.INTERSTITIAL_MARKINGS: Variation((Side.BILATERAL,), NO_ZONE, ALL_SEVERITIES),
    FindingKind.EMPHYSEMA: Variation((Side.BILATERAL,), NO_ZONE, ALL_SEVERITIES),
    FindingKind.GRANULOMA: Variation(ANY_SIDE, ALL_ZONES, NO_SEVERITY),
    FindingKind.ELEVATED_HEMIDIAPHRAGM: Variation(ONE_SIDE, NO_ZONE, ALL_SEVERITIES),
    FindingKind.HIATAL_HERNIA: Variation(
        NO_SIDE, NO_ZONE, (Severity.MILD, Severity.MODERATE, Severity.SEVERE)
    ),
    FindingKind.SCOLIOSIS: Variation(ONE_SIDE, NO_ZONE, ALL_SEVERITIES),
    FindingKind.PACEMAKER: Variation(ONE_SIDE, NO_ZONE, NO_SEVERITY),
    FindingKind.STERNOTOMY_WIRES: Variation(NO_SIDE, NO_ZONE, NO_SEVERITY),
    FindingKind.CENTRAL_LINE: Variation(ONE_SIDE, NO_ZONE, NO_SEVERITY),
}


@dataclass(frozen=True)
class Finding:
    """One finding of a study. Raises ValueError where the catalogue doesn't know the combination."""

    kind: FindingKind
    side: Side = Side.NONE
    zone: Zone = Zone.NONE
    severity: Severity = Severity.NONE

    def __post_init__(self) -> None:
        allowed = VARIATIONS[self.kind]
        for name, value, values in (
            ("side", self.side, allowed.sides),
            ("zone", self.zone, allowed.zones),
            ("severity", self.severity, allowed.severities),
        ):
            if value not in values:
                choices = ", ".join(repr(str(choice)) for choice in values)
                raise ValueError(f"{self.kind} can't have {name} {str(value)!r}; choose one of {choices}")
