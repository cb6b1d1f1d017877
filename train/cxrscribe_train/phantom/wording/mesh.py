"""Between findings and the headings of the Indiana collection, such as `Pleural Effusion/left/small`.

A heading is a descriptor and its qualifiers, parted by `/`. Only what a drawing can honestly show counts as
drawable: a blunted costophrenic angle looks like a small effusion and is drawn as one, a scar of the base
like a band of atelectasis; a tortuous aorta, an old rib fracture or a low inspiration has no drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.sampling import sample_variation
from cxrscribe_train.phantom.stream import IntegerStream

NORMAL_HEADING = "normal"

_NOTHING: frozenset[str] = frozenset()
_ELSEWHERE = frozenset(
    [
        *("hilum", "lymph nodes", "mediastinum", "paratracheal", "supracardiac", "heart", "heart ventricles"),
        *("mitral valve", "aortic valve", "coronary vessels", "aorta", "blood vessels"),
        *("trachea", "trachea, carina", "azygos lobe", "pleura", "diaphragm"),
        *("costophrenic angle", "cardiophrenic angle", "sulcus", "thorax", "breast", "adipose tissue"),
        *("ribs", "clavicle", "sternum", "shoulder", "humerus", "spine", "thoracic vertebrae"),
        *("cervical vertebrae", "lumbar vertebrae", "neck", "abdomen"),
    ]
)
_NOT_THE_CHEST_WALL = _ELSEWHERE - {"thorax", "heart"} | {"pulmonary artery", "heart atria"}


@dataclass(frozen=True)
class _Rule:
    """Headings with one of `descriptors`, all of `required` and none of `refused` show `kind`."""

    kind: FindingKind
    descriptors: frozenset[str]
    required: frozenset[str] = _NOTHING
    refused: frozenset[str] = _NOTHING


def _rule(
    kind: FindingKind, descriptors: str, required: str = "", refused: frozenset[str] = _NOTHING
) -> _Rule:
    return _Rule(kind, frozenset(descriptors.split("; ")), frozenset(filter(None, [required])), refused)


# The first rule that fits counts.
_RULES = (
    _rule(FindingKind.CARDIOMEGALY, "cardiomegaly"),
    _rule(FindingKind.CARDIOMEGALY, "cardiac shadow; heart", "enlarged"),
    _rule(FindingKind.PLEURAL_EFFUSION, "pleural effusion", refused=frozenset({"posterior"})),
    _rule(FindingKind.PLEURAL_EFFUSION, "costophrenic angle", "blunted", frozenset({"posterior"})),
    _rule(FindingKind.PNEUMOTHORAX, "pneumothorax"),
    _rule(
        FindingKind.INTERSTITIAL_MARKINGS,
        "markings; opacity; infiltrate; density",
        "interstitial",
        _ELSEWHERE,
    ),
    _rule(FindingKind.INTERSTITIAL_MARKINGS, "markings; opacity", "reticular", _ELSEWHERE),
    _rule(FindingKind.INTERSTITIAL_MARKINGS, "markings", "bronchovascular", _ELSEWHERE),
    _rule(FindingKind.INTERSTITIAL_MARKINGS, "lung", "interstitial", _ELSEWHERE),
    _rule(
        FindingKind.INTERSTITIAL_MARKINGS,
        "pulmonary edema; lung diseases, interstitial; pulmonary fibrosis",
        refused=frozenset({"pulmonary alveoli"}),
    ),
    _rule(FindingKind.NODULE, "opacity; density; infiltrate", "round", _ELSEWHERE),
    _rule(FindingKind.NODULE, "nodule", refused=_ELSEWHERE),
    _rule(FindingKind.MASS, "mass", refused=_ELSEWHERE),
    _rule(FindingKind.ATELECTASIS, "opacity; density; infiltrate", "streaky", _ELSEWHERE),
    _rule(FindingKind.ATELECTASIS, "pulmonary atelectasis", refused=_ELSEWHERE),
    _rule(FindingKind.ATELECTASIS, "cicatrix", "lung", _ELSEWHERE),
    _rule(
        FindingKind.CONSOLIDATION,
        "consolidation; airspace disease; infiltrate; pneumonia; opacity; density",
        refused=_ELSEWHERE,
    ),
    _rule(
        FindingKind.EMPHYSEMA,
        "emphysema; pulmonary emphysema; bullous emphysema; pulmonary disease, chronic obstructive",
    ),
    _rule(FindingKind.EMPHYSEMA, "lung, hyperlucent", refused=frozenset({"left", "right"})),
    _rule(FindingKind.EMPHYSEMA, "lung", "hyperdistention", frozenset({"left", "right"})),
    _rule(FindingKind.EMPHYSEMA, "diaphragm", "flattened"),
    _rule(FindingKind.GRANULOMA, "calcified granuloma; granuloma; granulomatous disease", refused=_ELSEWHERE),
    _rule(FindingKind.GRANULOMA, "calcinosis", "lung", _ELSEWHERE),
    _rule(FindingKind.ELEVATED_HEMIDIAPHRAGM, "diaphragm", "elevated"),
    _rule(FindingKind.ELEVATED_HEMIDIAPHRAGM, "diaphragmatic eventration"),
    _rule(FindingKind.HIATAL_HERNIA, "hernia, hiatal"),
    _rule(FindingKind.SCOLIOSIS, "scoliosis", "thoracic vertebrae"),
    _rule(FindingKind.SCOLIOSIS, "scoliosis", refused=frozenset({"lumbar vertebrae", "cervical vertebrae"})),
    _rule(FindingKind.PACEMAKER, "implanted medical device", refused=_NOT_THE_CHEST_WALL),
    _rule(FindingKind.STERNOTOMY_WIRES, "surgical instruments", "mediastinum"),
    _rule(FindingKind.STERNOTOMY_WIRES, "sutures", "sternum"),
    _rule(FindingKind.CENTRAL_LINE, "catheters, indwelling", refused=_NOT_THE_CHEST_WALL),
)

_SIDES = {"left": Side.LEFT, "right": Side.RIGHT, "bilateral": Side.BILATERAL, "retrocardiac": Side.LEFT}
_ZONES = {
    "upper lobe": Zone.UPPER,
    "apex": Zone.UPPER,
    "middle lobe": Zone.MID,
    "lingula": Zone.MID,
    "lower lobe": Zone.LOWER,
    "base": Zone.LOWER,
    "retrocardiac": Zone.LOWER,
}
_SEVERITIES = {
    "borderline": Severity.MILD,
    "small": Severity.MILD,
    "mild": Severity.MILD,
    "moderate": Severity.MODERATE,
    "large": Severity.SEVERE,
    "severe": Severity.SEVERE,
}
_SEVERAL = frozenset({"multiple", "scattered", "multilobar"})
# Of these a chest has one, or two that look like one; a second heading says the same thing again.
_SINGLE = frozenset(
    {
        FindingKind.CARDIOMEGALY,
        FindingKind.INTERSTITIAL_MARKINGS,
        FindingKind.EMPHYSEMA,
        FindingKind.HIATAL_HERNIA,
        FindingKind.SCOLIOSIS,
        FindingKind.PACEMAKER,
        FindingKind.STERNOTOMY_WIRES,
        FindingKind.CENTRAL_LINE,
    }
)
_SIZED = {Severity.MILD: "small", Severity.MODERATE: "moderate", Severity.SEVERE: "large"}
_DESCRIPTORS = {
    FindingKind.CARDIOMEGALY: "Cardiomegaly",
    FindingKind.PLEURAL_EFFUSION: "Pleural Effusion",
    FindingKind.PNEUMOTHORAX: "Pneumothorax",
    FindingKind.CONSOLIDATION: "Consolidation/lung",
    FindingKind.NODULE: "Nodule/lung",
    FindingKind.MASS: "Mass/lung",
    FindingKind.ATELECTASIS: "Pulmonary Atelectasis",
    FindingKind.INTERSTITIAL_MARKINGS: "Markings/lung",
    FindingKind.EMPHYSEMA: "Pulmonary Emphysema",
    FindingKind.GRANULOMA: "Calcified Granuloma/lung",
    FindingKind.ELEVATED_HEMIDIAPHRAGM: "Diaphragm",
    FindingKind.HIATAL_HERNIA: "Hernia, Hiatal",
    FindingKind.SCOLIOSIS: "Scoliosis/thoracic vertebrae",
    FindingKind.PACEMAKER: "Implanted Medical Device",
    FindingKind.STERNOTOMY_WIRES: "Surgical Instruments/mediastinum",
    FindingKind.CENTRAL_LINE: "Catheters, Indwelling",
}
_QUALITIES = {
    FindingKind.INTERSTITIAL_MARKINGS: "interstitial",
    FindingKind.ELEVATED_HEMIDIAPHRAGM: "elevated",
}
_SEVERITY_IS_SIZE = frozenset(
    {FindingKind.PLEURAL_EFFUSION, FindingKind.PNEUMOTHORAX, FindingKind.HIATAL_HERNIA}
)


@dataclass(frozen=True)
class MeshDrawing:
    """What to draw for a study's headings, and which of them that covers.

    `drawn` and `undrawn` together are the headings, in their order. `normal` counts as drawn.
    """

    findings: tuple[Finding, ...]
    drawn: tuple[str, ...]
    undrawn: tuple[str, ...]


def mesh_of(finding: Finding) -> str:
    """The heading for `finding` in the style of the collection; `findings_from_mesh` reads it back."""
    parts = [_DESCRIPTORS[finding.kind]]
    if finding.zone is Zone.MID:
        parts.append("lingula" if finding.side is Side.LEFT else "middle lobe")
    elif finding.zone is not Zone.NONE:
        parts.append(f"{finding.zone} lobe")
    if finding.side is not Side.NONE and finding.kind is not FindingKind.EMPHYSEMA:
        parts.append(finding.side)
    if finding.kind in _QUALITIES:
        parts.append(_QUALITIES[finding.kind])
    if finding.severity is not Severity.NONE:
        by_size = finding.kind in _SEVERITY_IS_SIZE
        parts.append(_SIZED[finding.severity] if by_size else finding.severity)
    return "/".join(parts)


def findings_from_mesh(headings: Sequence[str], stream: IntegerStream) -> MeshDrawing:
    """What to draw for `headings`; the stream decides side, zone and severity where they don't say.

    A heading that adds nothing to a more precise one, such as a second "Cardiomegaly", counts as drawn.
    """
    found: dict[FindingKind, list[Finding]] = {}
    drawn = {heading for heading in headings if heading.strip().lower() == NORMAL_HEADING}
    # The most precise first, so that a vague one can't choose another side.
    for heading in sorted(dict.fromkeys(headings), key=lambda heading: -heading.count("/")):
        of_heading = _findings(heading, stream)
        if not of_heading:
            continue
        drawn.add(heading)
        kind = of_heading[0].kind
        before = found.setdefault(kind, [])
        if before and (kind in _SINGLE or not _qualifiers(heading) & (_SIDES.keys() | _ZONES.keys())):
            continue
        before += [finding for finding in of_heading if not _overlaps(finding, before)]
    return MeshDrawing(
        tuple(finding for kind in FindingKind for finding in found.get(kind, ())),
        tuple(heading for heading in headings if heading in drawn),
        tuple(heading for heading in headings if heading not in drawn),
    )


def _findings(heading: str, stream: IntegerStream) -> list[Finding]:
    kind = kind_of(heading)
    if kind is None:
        return []
    qualifiers, allowed = _qualifiers(heading), VARIATIONS[kind]
    zones = [_ZONES[qualifier] for qualifier in sorted(qualifiers & _ZONES.keys())]
    if allowed.zones != (Zone.NONE,):
        if zones and not set(zones) & set(allowed.zones):
            return []  # such as atelectasis of the apex, which has no drawing
        zones = [zone for zone in zones if zone in allowed.zones]
    else:
        zones = []
    severities = [_SEVERITIES[qualifier] for qualifier in sorted(qualifiers & _SEVERITIES.keys())]
    if "blunted" in qualifiers:
        severities = [Severity.MILD]
    return [
        sample_variation(
            kind,
            stream,
            sides=[side] if side else None,
            zones=zones or None,
            severities=[severity for severity in severities if severity in allowed.severities] or None,
        )
        for side in _sides(qualifiers, kind)
    ]


def kind_of(heading: str) -> FindingKind | None:
    """The kind that a heading says is there; None for one that has no drawing."""
    descriptor, qualifiers = heading.split("/")[0].strip().lower(), _qualifiers(heading)
    for rule in _RULES:
        if descriptor in rule.descriptors and rule.required <= qualifiers and not rule.refused & qualifiers:
            return rule.kind
    return None


def _qualifiers(heading: str) -> frozenset[str]:
    return frozenset(part.strip().lower() for part in heading.split("/")[1:])


def _sides(qualifiers: frozenset[str], kind: FindingKind) -> list[Side | None]:
    """The sides to draw, a finding each; None leaves the choice open."""
    allowed = VARIATIONS[kind].sides
    named = {_SIDES[qualifier] for qualifier in qualifiers & _SIDES.keys()}
    if not named and "lingula" in qualifiers:
        named = {Side.LEFT}
    if not named and "middle lobe" in qualifiers:
        named = {Side.RIGHT}
    both = Side.BILATERAL in named or len(named) == 2 or (not named and bool(qualifiers & _SEVERAL))
    if not both:
        return [next((side for side in named if side in allowed), None)]
    if Side.BILATERAL in allowed:
        return [Side.BILATERAL]
    return [None] if kind in _SINGLE else [Side.LEFT, Side.RIGHT]


def _overlaps(finding: Finding, others: Sequence[Finding]) -> bool:
    return any(
        finding.zone is other.zone
        and (finding.side is other.side or Side.BILATERAL in (finding.side, other.side))
        for other in others
    )
