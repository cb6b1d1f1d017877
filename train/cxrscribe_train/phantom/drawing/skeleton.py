"""Bones: ribs, clavicles, shoulder blades, upper arms and spine.

Weights are the extra thickness that a bone adds, in 1/16 mm of soft tissue.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.phantom.drawing.anatomy import Anatomy
from cxrscribe_train.phantom.drawing.curve import UNIT, Points, closed_spline, ellipses, points, spline
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.raster import Raster

_BACK_RIBS: Final = 11
_FRONT_RIBS: Final = 7


def draw_skeleton(raster: Raster, behind: Raster, anatomy: Anatomy, stream: Stream) -> None:
    """Add every bone to the sheet; those behind the mediastinum, which blur, to the second."""
    _draw_spine(behind, anatomy)
    for sign in (-1, 1):
        _draw_ribs(raster, anatomy, sign)
        _draw_shoulder(raster, anatomy, sign, stream)


def _draw_ribs(raster: Raster, anatomy: Anatomy, sign: int) -> None:
    backs = np.stack([_back_rib(anatomy, sign, index) for index in range(_BACK_RIBS)])
    fronts = np.stack([_front_rib(anatomy, sign, index) for index in range(_FRONT_RIBS)])
    for ribs, width, weight in ((backs, 10, 330), (fronts, 12, 230)):
        raster.stroke(ribs, width * UNIT, weight)
        raster.stroke(ribs, (width - 5) * UNIT, -weight // 2)  # dense rim, spongy inside


def _spread(anatomy: Anatomy, sign: int) -> int:
    """How much wider than usual the ribs lie on this side, in px a rib: a curve opens on its convex side."""
    return anatomy.spine_shift * sign // 12


def _back_rib(anatomy: Anatomy, sign: int, index: int) -> Points:
    top = anatomy.apex + 8
    y = top + index * (anatomy.rib_spacing + _spread(anatomy, sign) // 2) - _spread(anatomy, sign) * 3
    slope = anatomy.rib_slope + min(index, 6) * 4
    end = y + slope
    edge = anatomy.edge(end) + 3
    near = int(anatomy.midline(np.array([y * UNIT]))[0]) // UNIT * sign
    line = points(
        [
            (near + 18, y + 4),
            (near * 3 // 4 + 18 + (edge - 18) // 5, y - 4),
            (near // 2 + 18 + (edge - 18) * 45 // 100, y + slope * 10 // 100),
            (18 + (edge - 18) * 78 // 100, y + slope * 48 // 100),
            (18 + (edge - 18) * 96 // 100, y + slope * 82 // 100),
            (edge, end + 8),
        ]
    )
    return spline(line, 4) * np.array([sign, 1])


def _front_rib(anatomy: Anatomy, sign: int, index: int) -> Points:
    top = anatomy.apex + 8
    y = top + index * (anatomy.rib_spacing + _spread(anatomy, sign) // 2) - _spread(anatomy, sign) * 3
    start = y + anatomy.rib_slope + min(index, 6) * 4
    edge = anatomy.edge(start) + 3
    drop = 26 + index * 5
    inner = 58 + index * 7
    line = points(
        [
            (edge, start + 2),
            (edge - 4, start + drop * 40 // 100),
            (edge - (edge - inner) * 28 // 100, start + drop * 78 // 100),
            (edge - (edge - inner) * 60 // 100, start + drop * 100 // 100),
            (inner, start + drop * 104 // 100),
        ]
    )
    return spline(line, 4) * np.array([sign, 1])


def _draw_shoulder(raster: Raster, anatomy: Anatomy, sign: int, stream: Stream) -> None:
    mirror = np.array([sign, 1])
    lift = stream.between(-6, 6)
    shoulder = anatomy.shoulder
    clavicle = spline(
        points(
            [
                (22, 144 + lift // 2),
                (46, 138 + lift),
                (90, 120 + lift),
                (135, 106 + lift),
                (176, shoulder + 20),
                (212, shoulder + 18),
            ]
        ),
        5,
    )
    widths = (17 - 5 * np.arange(len(clavicle)) // (len(clavicle) - 1)) * UNIT
    raster.stroke(clavicle * mirror, widths, 460)
    raster.stroke(clavicle * mirror, widths - 5 * UNIT, -190)

    out = anatomy.half_width
    blade = points(
        [(out - 22, 108), (out + 30, 116), (out + 26, 160), (out + 6, 262), (out - 8, 250), (out - 18, 180)]
    )
    raster.fill(blade * mirror, 60)
    inner_border = spline(points([(out - 24, 106), (out - 20, 170), (out - 8, 246), (out + 3, 264)]), 6)
    outer_border = spline(points([(out + 34, 126), (out + 24, 180), (out + 14, 230), (out + 3, 264)]), 6)
    spine_of_blade = spline(points([(out - 22, 124), (out + 8, 104), (out + 40, shoulder + 14)]), 6)
    for border, width, weight in ((inner_border, 4, 70), (outer_border, 9, 160), (spine_of_blade, 8, 120)):
        raster.stroke(border * mirror, width * UNIT, weight)
    arm = closed_spline(
        points(
            [
                (out + 30, 118),
                (out + 48, 102),
                (out + 70, 112),
                (out + 80, 150),
                (out + 112, 300),
                (out + 92, 300),
                (out + 58, 172),
                (out + 40, 148),
            ]
        ),
        5,
    )
    raster.fill(arm * mirror, 330)


def _draw_spine(raster: Raster, anatomy: Anatomy) -> None:
    tops, heights = _vertebrae()
    half = 17 + tops // 110
    middle = tops + heights // 2
    corners = [
        (-4, 0),
        (0, 0),
        (4, 0),
        (3, 2),
        (4, 4),
        (0, 4),
        (-4, 4),
        (-3, 2),
    ]  # quarters of half width, height
    bodies = np.stack(
        [np.stack([half * x // 4, tops + heights * y // 4], axis=-1) for x, y in corners], axis=1
    )  # [vertebrae, corners, 2]
    sides = np.stack([5 - half, half - 5], axis=-1)
    pedicles = np.stack([sides, np.broadcast_to(middle[:, None] - 3, sides.shape)], axis=-1)
    processes = np.stack([np.zeros_like(middle), middle + 6], axis=-1)
    for outlines, weight in (
        (bodies * UNIT, 200),
        (ellipses(pedicles * UNIT, np.array([4, 6]) * UNIT, 12), 200),
        (ellipses(processes * UNIT, np.array([3, 8]) * UNIT, 12), 200),
    ):
        outlines[..., 0] += anatomy.midline(outlines[..., 1])
        raster.fill(outlines, weight)
    raster.stroke(anatomy.spine(), 36 * UNIT, 130)


def _vertebrae() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Y of the vertebrae's tops and their heights, in px; they grow downwards."""
    heights = np.minimum(19 + np.arange(20, dtype=np.int64), 31)
    tops = np.cumsum(heights + 5) - heights - 15
    return tops, heights
