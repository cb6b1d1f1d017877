"""What disease adds to the lungs and the space around them.

Sizes are whole pixels of the chest's frame; thicknesses are in 1/16 mm of soft tissue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from cxrscribe_train.findings import Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.drawing.anatomy import Anatomy, side_sign
from cxrscribe_train.phantom.drawing.curve import (
    ONE,
    UNIT,
    Points,
    closed_spline,
    directions,
    ellipse,
    ellipses,
    points,
    spline,
)
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.sheets import FULL, Sheets

# Where a zone's findings are centered, in percent of the lung's height: the gaps keep the zones apart.
_ZONES: Final = {Zone.UPPER: (16, 31), Zone.MID: (42, 60), Zone.LOWER: (70, 88)}

# Ranges by severity.
_FLUID_RISES: Final = {Severity.MODERATE: (70, 92), Severity.SEVERE: (168, 200)}  # px above the dome
_COLLAPSE: Final = {Severity.MILD: (80, 84), Severity.MODERATE: (62, 67), Severity.SEVERE: (38, 44)}  # % left
_CONSOLIDATION_RADII: Final = {
    Severity.MILD: (34, 38),
    Severity.MODERATE: (45, 50),
    Severity.SEVERE: (58, 66),
}
_HERNIA_RADII: Final = {Severity.MILD: (25, 28), Severity.MODERATE: (34, 38), Severity.SEVERE: (45, 50)}
# Threads a side, and the thickness of each.
_NETS: Final = {Severity.MILD: (560, 330), Severity.MODERATE: (700, 430), Severity.SEVERE: (840, 540)}
_PATCHES: Final = 16  # of a consolidation


def draw_abnormality(sheets: Sheets, anatomy: Anatomy, finding: Finding, stream: Stream) -> None:
    """Add one finding to the sheets; findings that only change the anatomy or are devices add nothing."""
    draw = _DRAWINGS.get(finding.kind)
    if draw is None:
        return
    for sign in _signs(finding.side):
        draw(sheets, anatomy, finding, sign, stream)


def _signs(side: Side) -> tuple[int, ...]:
    """The sides to draw on; what has no side lies in the middle and is drawn once."""
    return (-1, 1) if side is Side.BILATERAL else (side_sign(side),)


def _place(anatomy: Anatomy, zone: Zone, sign: int, radius: int, stream: Stream) -> tuple[int, int]:
    """Center (distance from the midline, y) for something of this radius in the free lung of a zone."""
    height = anatomy.dome(sign) - anatomy.apex
    low, high = _ZONES[zone]
    tries = [anatomy.apex + height * stream.between(low, high) // 100 for _ in range(8)]
    y = min(tries, key=lambda candidate: anatomy.inner(sign, candidate) - anatomy.edge(candidate))
    y = min(max(y, anatomy.apex + radius + 14), anatomy.dome(sign) - radius // 2)
    inner = anatomy.inner(sign, y) + radius
    outer = anatomy.edge(y) - radius - 6
    if inner >= outer:
        return (inner + outer) // 2, y
    return stream.between(inner, outer), y


def _draw_effusion(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    dome, angle = anatomy.dome(sign), anatomy.angle(sign)
    edge = anatomy.half_width + 8
    if finding.severity is Severity.MILD:
        side = min(angle - 76, dome - 26) - stream.between(0, 8)
        surface = [(edge, side), (edge - 12, side + 18), (edge - 40, side + 34)]
        surface += [(edge * 48 // 100, dome + 10), (0, dome + 40)]
    else:
        side = dome - stream.between(*_FLUID_RISES[finding.severity])
        surface = [(edge, side), (edge - 16, side + 22), (edge - 60, side + 46)]
        surface += [(edge * 40 // 100, side + 52), (0, side + 46)]
    outline = np.concatenate([spline(points(surface), 5), points([(0, 512), (edge + 40, 512)])])
    sheets.solid.fill(outline * np.array([sign, 1]), FULL)


def _draw_pneumothorax(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    share = stream.between(*_COLLAPSE[finding.severity])
    lung = anatomy.lung(sign)
    anchor = np.array([10 * sign, anatomy.dome(sign) - 20]) * UNIT
    collapsed = anchor + (lung - anchor) * np.array([share, 40 + share * 60 // 100]) // 100
    sheets.gas.fill(lung, FULL)
    sheets.gas.fill(collapsed, -FULL)
    pleura = collapsed[collapsed[:, 1] < (anatomy.dome(sign) - 6) * UNIT]
    sheets.bones.stroke(pleura, 5 * UNIT // 2, 520)
    sheets.haze.fill(collapsed, FULL * (100 - share) // 200)


def _draw_consolidation(
    sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream
) -> None:
    radius = stream.between(*_CONSOLIDATION_RADII[finding.severity])
    x, y = _place(anatomy, finding.zone, sign, radius * 3 // 4, stream)
    away = stream.array(0, radius, _PATCHES, 1) * UNIT
    offsets = directions(stream.array(0, 359, _PATCHES)) * away // ONE
    centers = np.array([sign * x, y]) * UNIT + offsets * np.array([5, 4]) // 5
    sizes = radius * UNIT * stream.array(28, 58, _PATCHES, 2) // 100
    sheets.haze.fill(ellipses(centers, sizes, 12), 62)


def _draw_nodule(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    radius = stream.between(10, 16)
    x, y = _place(anatomy, finding.zone, sign, radius, stream)
    outline = _lump((sign * x, y), radius, 6, stream)
    sheets.solid.fill(outline, 150)
    sheets.soft.fill(outline, 160)


def _draw_mass(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    radius = stream.between(29, 42)
    x, y = _place(anatomy, finding.zone, sign, radius, stream)
    outline = _lump((sign * x, y), radius, 14, stream)
    center = np.array([sign * x, y]) * UNIT
    sheets.solid.fill(np.stack([outline, center + (outline - center) * 4 // 5]), 110)
    sheets.soft.fill(outline, 420)


def _lump(center: tuple[int, int], radius: int, unevenness: int, stream: Stream) -> Points:
    """Closed outline of a lump; its radius varies by so many percent, with a few lobes."""
    lobes = 7
    angles = np.arange(lobes, dtype=np.int64) * 360 // lobes + stream.between(0, 50)
    radii = radius * UNIT * (100 + stream.array(-unevenness, unevenness, lobes)) // 100
    offsets = directions(angles) * radii[:, None] // ONE
    return closed_spline(offsets + np.array(center) * UNIT, 5)


def _draw_atelectasis(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    x, y = _place(anatomy, finding.zone, sign, 30, stream)
    if finding.zone is Zone.LOWER:
        y = anatomy.dome(sign) - stream.between(42, 54)
    tilt = stream.between(-14, 14)
    for band in range(stream.between(2, 3)):
        reach = stream.between(44, 58)
        top = y + band * 17
        outer = min(x + reach, anatomy.edge(top) - 6)
        inner = min(max(x - reach, anatomy.inner(sign, top) - 10), outer - 56)
        middle = ((inner + outer) // 2, top + stream.between(-3, 3))
        lean = tilt + stream.between(-4, 4)
        line = spline(points([(inner, top + lean), middle, (outer, top - lean)]), 6)
        width = stream.between(5, 7) * UNIT
        ranks = np.arange(len(line))
        taper = np.minimum(np.minimum(ranks + 1, len(ranks) - ranks), 4) * width // 4
        sheets.bones.stroke(line * np.array([sign, 1]), taper, 950)


def _draw_granuloma(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    x, y = _place(anatomy, finding.zone, sign, 10, stream)
    for _ in range(stream.between(2, 3)):
        outline = _lump((sign * x, y), stream.between(5, 7), 8, stream)
        sheets.devices.fill(outline, 4000)
        x += stream.between(14, 20) * (1 if x < (anatomy.inner(sign, y) + anatomy.edge(y)) // 2 else -1)
        y = min(y + stream.between(-16, 16), anatomy.dome(sign) - 10)


def _draw_hernia(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    radius = stream.between(*_HERNIA_RADII[finding.severity])
    x, y = stream.between(0, 12), max(anatomy.domes) - radius * 70 // 100
    center = np.array([x, y]) * UNIT
    wall = ellipse((x * UNIT, y * UNIT), (radius * UNIT, radius * 92 * UNIT // 100), 32)
    inside = center + (wall - center) * 86 // 100
    level = (y + radius * 12 // 100) * UNIT
    gas = np.stack([inside[:, 0], np.minimum(inside[:, 1], level)], axis=-1)
    sheets.solid.fill(wall, FULL)
    sheets.bones.fill(wall, 400)
    sheets.bones.fill(gas, -1800)


def _draw_reticulation(sheets: Sheets, anatomy: Anatomy, finding: Finding, sign: int, stream: Stream) -> None:
    count, weight = _NETS[finding.severity]
    starts = np.stack(
        [stream.array(26, anatomy.half_width, count) * sign, stream.array(anatomy.apex, anatomy.base, count)],
        -1,
    )
    headings = stream.array(0, 359, count, 1) + np.cumsum(stream.array(-50, 50, count, 4), axis=1)
    moves = directions(headings) * stream.array(3 * UNIT, 7 * UNIT, count, 1, 1) // ONE
    threads = starts[:, None, :] * UNIT + np.cumsum(moves, axis=1)
    sheets.markings.stroke(threads, 2 * UNIT, weight)


_Drawing = Callable[[Sheets, Anatomy, Finding, int, Stream], None]
_DRAWINGS: Final[dict[FindingKind, _Drawing]] = {
    FindingKind.PLEURAL_EFFUSION: _draw_effusion,
    FindingKind.PNEUMOTHORAX: _draw_pneumothorax,
    FindingKind.CONSOLIDATION: _draw_consolidation,
    FindingKind.NODULE: _draw_nodule,
    FindingKind.MASS: _draw_mass,
    FindingKind.ATELECTASIS: _draw_atelectasis,
    FindingKind.GRANULOMA: _draw_granuloma,
    FindingKind.INTERSTITIAL_MARKINGS: _draw_reticulation,
    FindingKind.HIATAL_HERNIA: _draw_hernia,
}
