"""What surgeons and nurses leave in a chest: pacemaker, sternal wires, central venous line.

Sizes are whole pixels of the chest's frame; thicknesses are in 1/16 mm of soft tissue.
"""

from __future__ import annotations

import numpy as np

from cxrscribe_train.findings import Finding, FindingKind
from cxrscribe_train.phantom.drawing.anatomy import Anatomy, side_sign
from cxrscribe_train.phantom.drawing.curve import UNIT, Points, closed_spline, ellipse, points, spline
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.sheets import Sheets

_CAVA = -25  # x of the superior vena cava


def draw_device(sheets: Sheets, anatomy: Anatomy, finding: Finding, stream: Stream) -> None:
    """Add one device to the sheets; other findings add nothing."""
    if finding.kind is FindingKind.PACEMAKER:
        _draw_pacemaker(sheets, anatomy, side_sign(finding.side), stream)
    elif finding.kind is FindingKind.STERNOTOMY_WIRES:
        _draw_wires(sheets, anatomy, stream)
    elif finding.kind is FindingKind.CENTRAL_LINE:
        _draw_line(sheets, anatomy, side_sign(finding.side), stream)


def _draw_pacemaker(sheets: Sheets, anatomy: Anatomy, sign: int, stream: Stream) -> None:
    x, y = stream.between(132, 150), stream.between(142, 160)
    half, tall = stream.between(23, 27), stream.between(20, 24)
    corners = [(-1, -3), (1, -3), (3, -2), (3, 1), (2, 3), (-2, 3), (-3, 1), (-3, -2)]
    box = closed_spline(points([(x + half * i // 3, y + tall * j // 3) for i, j in corners]), 5)
    mirror = np.array([sign, 1])
    sheets.devices.fill(box * mirror, 4000)
    core = points(
        [
            (x - half + 7, y - 6),
            (x + half - 7, y - 6),
            (x + half - 9, y + tall - 5),
            (x - half + 9, y + tall - 5),
        ]
    )
    sheets.devices.fill(core * mirror, 2400)
    entry = [(sign * (x - half + 4), y - tall), (sign * 96, 108), (sign * 58, 112)]
    cava = [(0, 138)] if sign > 0 else []
    cava += [(_CAVA + 2, 165), (_CAVA, 225)]
    bottom = max(anatomy.domes)
    atrium = [(_CAVA - 3, 262), (_CAVA - 10, 282), (-anatomy.heart_right * 72 // 100, 268)]
    ventricle = [
        (_CAVA + 1, 290),
        (_CAVA + 14, bottom - 34),
        (anatomy.heart_left * 30 // 100, bottom - 18),
        (anatomy.heart_left * 70 // 100, bottom - 26),
    ]
    for end in (atrium, ventricle):
        lead = spline(points([*entry, *cava, *end]), 8)
        sheets.devices.stroke(lead, 5 * UNIT // 2, 2200)
        sheets.devices.stroke(lead[-6:], 4 * UNIT, 2600)
        entry = [(i + sign * 3, j + 4) for i, j in entry]


def _draw_wires(sheets: Sheets, anatomy: Anatomy, stream: Stream) -> None:
    count = stream.between(5, 7)
    top = stream.between(122, 134)
    step = (max(anatomy.domes) - 20 - top) // count
    for index in range(count):
        x, y = stream.between(-3, 3), top + index * step
        radii = (stream.between(13, 16) * UNIT, stream.between(7, 9) * UNIT)
        loop = ellipse((x * UNIT, y * UNIT), radii, 20)
        loop[:, 1] += (loop[:, 0] - x * UNIT) * stream.between(-25, 25) // 100
        sheets.devices.stroke(np.concatenate([loop, loop[:1]]), 3 * UNIT, 3800)
        twist = points([(x - 4, y + 1), (x + 5, y - 1)])
        sheets.devices.stroke(twist, 5 * UNIT, 3000)


def _draw_line(sheets: Sheets, anatomy: Anatomy, sign: int, stream: Stream) -> None:
    tip = anatomy.heart_top + stream.between(34, 52)
    start = _jugular(sign, stream) if stream.chance(1, 2) else _arm(anatomy, sign, stream)
    middle = [(8, 134), (_CAVA + 8, 150)] if sign > 0 else [(_CAVA - 6, 138)]
    line = spline(points([*start, *middle, (_CAVA, 185), (_CAVA, 215), (_CAVA - 2, tip)]), 8)
    _draw_tube(sheets, line)


def _jugular(sign: int, stream: Stream) -> list[tuple[int, int]]:
    lean = stream.between(-4, 4)
    return [(sign * (54 + lean), -30), (sign * (47 + lean), 30), (sign * 42, 80), (sign * 36, 112)]


def _arm(anatomy: Anatomy, sign: int, stream: Stream) -> list[tuple[int, int]]:
    drop = stream.between(-8, 8)
    out = anatomy.half_width
    return [
        (sign * (out + 100), 268),
        (sign * (out + 66), 200),
        (sign * (out + 20), 136 + drop),
        (sign * 130, 104 + drop),
        (sign * 70, 106),
    ]


def _draw_tube(sheets: Sheets, line: Points) -> None:
    sheets.devices.stroke(line, 4 * UNIT, 2200)
