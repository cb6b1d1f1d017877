"""Which findings a phantom study has.

About a quarter of the studies are normal. The others have one to five findings of different kinds, chosen so
that each can be seen: two findings never sit at the same place, and none hides or contradicts another.
No kind is common enough for a report that is the same for every film to score well.
"""

from __future__ import annotations

from collections.abc import Sequence

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.stream import IntegerStream, Weighted

_COUNT_WEIGHTS: Weighted[int] = ((24, 0), (19, 1), (25, 2), (19, 3), (9, 4), (4, 5))

# Kinds that get on badly with others are drawn more often, so that all end up about equally common.
_KIND_WEIGHTS: Weighted[FindingKind] = (
    (100, FindingKind.CARDIOMEGALY),
    (140, FindingKind.PLEURAL_EFFUSION),
    (150, FindingKind.PNEUMOTHORAX),
    (130, FindingKind.CONSOLIDATION),
    (115, FindingKind.NODULE),
    (115, FindingKind.MASS),
    (125, FindingKind.ATELECTASIS),
    (110, FindingKind.INTERSTITIAL_MARKINGS),
    (135, FindingKind.EMPHYSEMA),
    (115, FindingKind.GRANULOMA),
    (125, FindingKind.ELEVATED_HEMIDIAPHRAGM),
    (85, FindingKind.HIATAL_HERNIA),
    (80, FindingKind.SCOLIOSIS),
    (105, FindingKind.PACEMAKER),
    (80, FindingKind.STERNOTOMY_WIRES),
    (85, FindingKind.CENTRAL_LINE),
)
_SEVERITY_WEIGHTS = {Severity.MILD: 4, Severity.MODERATE: 4, Severity.SEVERE: 3, Severity.NONE: 1}
_SIDE_WEIGHTS = {Side.LEFT: 4, Side.RIGHT: 4, Side.BILATERAL: 2, Side.NONE: 1}
_PACEMAKER_SIDE_WEIGHTS = {Side.LEFT: 3, Side.RIGHT: 1}
_CENTRAL_LINE_SIDE_WEIGHTS = {Side.LEFT: 1, Side.RIGHT: 2}
_ATTEMPTS = 200

_FINE_LESIONS = frozenset({FindingKind.NODULE, FindingKind.GRANULOMA, FindingKind.ATELECTASIS})
_CONTRADICTORY_KINDS = frozenset(
    frozenset(pair)
    for pair in (
        # Over-inflated lungs are dark, with a slim heart and low, flat diaphragms.
        (FindingKind.EMPHYSEMA, FindingKind.INTERSTITIAL_MARKINGS),
        (FindingKind.EMPHYSEMA, FindingKind.CARDIOMEGALY),
        (FindingKind.EMPHYSEMA, FindingKind.ELEVATED_HEMIDIAPHRAGM),
        (FindingKind.EMPHYSEMA, FindingKind.PLEURAL_EFFUSION),
    )
)


def sample_findings(stream: IntegerStream) -> tuple[Finding, ...]:
    """The findings of one study, in the order of `FindingKind`; none for a normal one."""
    wanted = stream.weighted(_COUNT_WEIGHTS)
    chosen: list[Finding] = []
    for _ in range(_ATTEMPTS):
        if len(chosen) == wanted:
            break
        candidate = sample_variation(stream.weighted(_KIND_WEIGHTS), stream)
        if all(compatible(candidate, other) for other in chosen):
            chosen.append(candidate)
    order = list(FindingKind)
    return tuple(sorted(chosen, key=lambda finding: order.index(finding.kind)))


def sample_variation(
    kind: FindingKind,
    stream: IntegerStream,
    *,
    sides: Sequence[Side] | None = None,
    zones: Sequence[Zone] | None = None,
    severities: Sequence[Severity] | None = None,
) -> Finding:
    """A finding of `kind`; its side, zone and severity come from those given, or from all it can have."""
    allowed = VARIATIONS[kind]
    by_side = {
        FindingKind.PACEMAKER: _PACEMAKER_SIDE_WEIGHTS,
        FindingKind.CENTRAL_LINE: _CENTRAL_LINE_SIDE_WEIGHTS,
    }.get(kind, _SIDE_WEIGHTS)
    return Finding(
        kind,
        stream.weighted([(by_side[side], side) for side in sides or allowed.sides]),
        stream.choice(list(zones or allowed.zones)),
        stream.weighted([(_SEVERITY_WEIGHTS[level], level) for level in severities or allowed.severities]),
    )


def compatible(one: Finding, other: Finding) -> bool:
    """Whether two findings can be drawn in one film with both of them plainly visible."""
    kinds = frozenset((one.kind, other.kind))
    if len(kinds) == 1 or kinds in _CONTRADICTORY_KINDS or footprint(one) & footprint(other):
        return False
    return not (_hides(one, other) or _hides(other, one))


def footprint(finding: Finding) -> frozenset[tuple[Side, Zone]]:
    """The parts of the lungs that a finding takes up, as (left or right, zone); empty for diffuse ones."""
    sides = (Side.LEFT, Side.RIGHT) if finding.side is Side.BILATERAL else (finding.side,)
    return frozenset((side, zone) for side in sides for zone in _zones(finding))


def _zones(finding: Finding) -> tuple[Zone, ...]:
    if finding.zone is not Zone.NONE:
        return (finding.zone,)
    large = finding.severity is Severity.SEVERE
    match finding.kind:
        case FindingKind.PLEURAL_EFFUSION:
            return (Zone.MID, Zone.LOWER) if large else (Zone.LOWER,)
        case FindingKind.ELEVATED_HEMIDIAPHRAGM:
            return (Zone.LOWER,)
        case FindingKind.PACEMAKER:
            return (Zone.UPPER,)
        case FindingKind.PNEUMOTHORAX:  # even a small one draws the whole lung away from the ribs
            return (Zone.UPPER, Zone.MID, Zone.LOWER)
        case _:
            return ()


def _hides(cover: Finding, hidden: Finding) -> bool:
    on_left = Side.LEFT in {side for side, _ in footprint(hidden)} or hidden.side is Side.LEFT
    severe = cover.severity is Severity.SEVERE
    match cover.kind:
        case FindingKind.PLEURAL_EFFUSION | FindingKind.PNEUMOTHORAX:
            # Fluid and free air on one side: a level would be seen instead of a meniscus.
            both = {FindingKind.PLEURAL_EFFUSION, FindingKind.PNEUMOTHORAX}
            if hidden.kind in both and _share_a_side(cover, hidden):
                return True
            # A large left effusion swallows the heart border and what lies behind the heart.
            behind = {FindingKind.CARDIOMEGALY, FindingKind.HIATAL_HERNIA}
            return severe and cover.side is not Side.RIGHT and hidden.kind in behind
        case FindingKind.CARDIOMEGALY:
            # A big heart covers the left base and a hernia behind it.
            if hidden.kind is FindingKind.HIATAL_HERNIA:
                return severe
            return cover.severity is not Severity.MILD and on_left and hidden.zone is Zone.LOWER
        case FindingKind.INTERSTITIAL_MARKINGS:
            return hidden.kind in _FINE_LESIONS and cover.severity is not Severity.MILD
        case FindingKind.HIATAL_HERNIA:
            return hidden.kind is FindingKind.ELEVATED_HEMIDIAPHRAGM and hidden.side is Side.LEFT
        case FindingKind.PACEMAKER:
            # The leads run where the line of the same side would.
            return hidden.kind is FindingKind.CENTRAL_LINE and hidden.side is cover.side
        case _:
            return False


def _share_a_side(one: Finding, other: Finding) -> bool:
    return Side.BILATERAL in (one.side, other.side) or one.side is other.side
