"""Drawing one frontal chest film of 512 x 512 pixels.

The parts of the chest add up to the thickness of tissue that a ray has passed, in 1/16 mm; a table turns that
into grey. Everything is integer arithmetic, so that a seed gives the same pixels on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.findings import Finding
from cxrscribe_train.phantom.drawing.abnormality import draw_abnormality
from cxrscribe_train.phantom.drawing.anatomy import Anatomy, with_streams
from cxrscribe_train.phantom.drawing.curve import UNIT, ellipse, points, spline
from cxrscribe_train.phantom.drawing.device import draw_device
from cxrscribe_train.phantom.drawing.exposure import Exposure
from cxrscribe_train.phantom.drawing.noise import Stream, clouds, enlarged
from cxrscribe_train.phantom.drawing.pose import Pose
from cxrscribe_train.phantom.drawing.raster import blurred, box_blurred
from cxrscribe_train.phantom.drawing.sheets import FULL, Sheets
from cxrscribe_train.phantom.drawing.skeleton import draw_skeleton
from cxrscribe_train.phantom.drawing.vessels import draw_hila, draw_vessels

_THICKNESS: Final = 200 * 16  # of the trunk, 1/16 mm


def draw_film(findings: Sequence[Finding], seed: int) -> NDArray[np.uint8]:
    """A phantom's film, uint8 [512, 512], that shows every finding.

    The seed decides pose, anatomy, exposure and noise, and the findings' details; the same seed without a
    finding draws the same chest without it.
    """
    stream = Stream(seed)
    pose = Pose.drawn(stream.fork("pose"))
    anatomy = Anatomy.drawn(stream.fork("anatomy"), findings)
    sheets = Sheets.blank(pose)
    _draw_chest(sheets, anatomy, stream)
    for finding, details in with_streams(findings, stream):
        draw_abnormality(sheets, anatomy, finding, details)
        draw_device(sheets, anatomy, finding, details)
    thickness = _thickness(sheets, anatomy, stream)
    return Exposure.drawn(stream.fork("exposure")).develop(thickness, stream.fork("grain"))


def _draw_chest(sheets: Sheets, anatomy: Anatomy, stream: Stream) -> None:
    sheets.body.fill(anatomy.body(), FULL)
    for sign in (-1, 1):
        sheets.lungs.fill(anatomy.lung(sign), FULL)
        arm = points([(240, 110), (300, 110), (400, 400), (330, 420), (276, 290), (246, 190)])
        sheets.body.fill(arm * np.array([sign, 1]), FULL * 70 // 100)
        if anatomy.breast:
            center = (sign * 112 * UNIT, 330 * UNIT)
            sheets.soft.fill(ellipse(center, (92 * UNIT, 70 * UNIT)), anatomy.breast * 16)
    sheets.solid.fill(anatomy.heart(), FULL * 88 // 100)
    sheets.solid.fill(anatomy.mediastinum(), FULL * 80 // 100)
    sheets.solid.stroke(anatomy.spine(), 40 * UNIT, FULL * 36 // 100)
    draw_hila(sheets.soft, anatomy, stream.fork("hila"))
    draw_vessels(sheets.markings, anatomy, stream.fork("vessels"))
    draw_skeleton(sheets.bones, sheets.soft, anatomy, stream.fork("skeleton"))
    _draw_airways(sheets, anatomy)
    _draw_gas(sheets, anatomy, stream.fork("gas"))
    _draw_marker(sheets, stream.fork("marker"))


def _draw_airways(sheets: Sheets, anatomy: Anatomy) -> None:
    carina = anatomy.heart_top - 14
    column = np.arange(-20, carina, 12, dtype=np.int64) * UNIT
    trachea = np.stack([anatomy.midline(column) // 2, column], axis=-1)
    sheets.soft.stroke(trachea, 17 * UNIT, -560)
    sheets.soft.stroke(trachea, 11 * UNIT, -300)
    for sign, drop in ((-1, 34), (1, 24)):
        bronchus = spline(
            points([(0, carina - 8), (sign * 16, carina + drop // 2), (sign * 34, carina + drop)]), 5
        )
        sheets.soft.stroke(bronchus, 9 * UNIT, -420)


def _draw_gas(sheets: Sheets, anatomy: Anatomy, stream: Stream) -> None:
    half = anatomy.bubble
    x, y = 92 * UNIT, (anatomy.dome(1) + 14 + half // 2) * UNIT
    bubble = ellipse((x, y), (half * UNIT, half * 62 * UNIT // 100), 28)
    bubble[:, 1] = np.minimum(bubble[:, 1], y + half * 24 * UNIT // 100)
    sheets.soft.fill(bubble, -1500)
    for _ in range(stream.between(2, 5)):
        x, y = stream.sign() * stream.between(66, 150) * UNIT, stream.between(448, 510) * UNIT
        sheets.soft.fill(ellipse((x, y), (stream.between(10, 22) * UNIT, stream.between(7, 14) * UNIT)), -420)


def _draw_marker(sheets: Sheets, stream: Stream) -> None:
    x, y = 218 + stream.between(-6, 8), 26 + stream.between(-6, 14)
    size = stream.between(7, 9)
    sheets.devices.stroke(points([(x, y - size), (x, y + size), (x + size + 1, y + size)]), 4 * UNIT, 6000)


def _thickness(sheets: Sheets, anatomy: Anatomy, stream: Stream) -> NDArray[np.int32]:
    """int32 [512, 512]: what each ray passes, in 1/16 mm of soft tissue."""
    lungs = sheets.lungs.sheet()  # [256, 256], as all that has a soft border
    solid = np.minimum(blurred(sheets.solid.sheet(), 2), FULL)
    aerated = lungs * (FULL - solid) >> 8
    if not sheets.haze.blank:
        aerated = aerated * (FULL - _haze(sheets, stream)) >> 8
    depth = _depth(lungs)
    vented = aerated  # where lung, not only gas, is seen
    if not sheets.gas.blank:
        gas = np.clip(sheets.gas.sheet(), 0, FULL)
        depth += gas * 40 >> 8
        vented = aerated * (FULL - gas) >> 8
    texture = clouds(stream.fork("texture"), len(lungs), 4) >> 1
    thickness = _tissue(sheets)
    thickness -= aerated * (depth * anatomy.air >> 4) >> 8
    thickness += vented * texture >> 8
    thickness += blurred(sheets.soft.sheet(), 2)
    thickness = enlarged(thickness, 1)  # [512, 512]
    markings = enlarged(vented, 1) * sheets.markings.sheet()
    markings >>= 8
    markings += sheets.bones.sheet()
    thickness += blurred(markings, 1)
    thickness += sheets.devices.sheet()
    return thickness


def _depth(lungs: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [256, 256]: share of the air's full depth, of 256; lungs are flatter towards their borders."""
    return enlarged(box_blurred(lungs[1::2, 1::2], 10) * 120 // FULL + 146, 1)


def _tissue(sheets: Sheets) -> NDArray[np.int32]:
    """int32 [256, 256]: the body without its lungs' air, rounded towards its sides."""
    body = np.minimum(sheets.body.sheet(), FULL)
    rounded = box_blurred(box_blurred(body, 10), 10)
    body = blurred(body, 1) * np.clip(rounded - 50, 0, FULL) // (FULL - 50)
    rows = np.arange(len(body), dtype=np.int32)
    trunk = _THICKNESS * (210 + rows * 70 // len(body)) >> 8  # thicker towards the abdomen
    return enlarged(body * trunk[:, None] >> 8, 1)


def _haze(sheets: Sheets, stream: Stream) -> NDArray[np.int32]:
    """int32 [256, 256]: the share of air that fuzzy opacities replace, of 256."""
    patches = box_blurred(box_blurred(np.minimum(sheets.haze.sheet(), 240), 1), 1)
    uneven = 216 + (clouds(stream.fork("patches"), len(patches), 4) >> 1)
    return np.clip(enlarged(patches * uneven >> 8, 1), 0, 240)
