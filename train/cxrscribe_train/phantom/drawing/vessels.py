"""Vascular markings: branches that leave the hila and thin out towards the lungs' edges.

Weights are in 1/16 mm of soft tissue.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.phantom.drawing.anatomy import Anatomy
from cxrscribe_train.phantom.drawing.curve import ONE, UNIT, Points, directions, ellipses
from cxrscribe_train.phantom.drawing.noise import Stream
from cxrscribe_train.phantom.drawing.raster import Raster

_POINTS: Final = 6  # of a branch
_WEIGHT: Final = 60  # for each pixel of width: a vessel is as deep as it is wide


def draw_vessels(raster: Raster, anatomy: Anatomy, stream: Stream) -> None:
    """Add both lungs' vessels to the sheet; the caller keeps them inside aerated lung."""
    for sign in (-1, 1):
        _draw_tree(raster, anatomy, sign, stream.fork(f"lung {sign}"))


def draw_hila(raster: Raster, anatomy: Anatomy, stream: Stream) -> None:
    """Add the hila's own shadows, right a little lower than left."""
    for sign in (-1, 1):
        x, y = hilum(anatomy, sign)
        centers = (
            np.stack([(x + stream.array(-6, 8, 5)) * sign, y + stream.array(-24, 26, 5)], axis=-1) * UNIT
        )
        radii = np.stack([stream.array(6, 10, 5), stream.array(9, 16, 5)], axis=-1) * UNIT
        raster.fill(ellipses(centers, radii, 16), 220)


def hilum(anatomy: Anatomy, sign: int) -> tuple[int, int]:
    """Distance from the midline and y of one hilum, in px."""
    return 42, anatomy.heart_top + (14 if sign < 0 else 4)


def _draw_tree(raster: Raster, anatomy: Anatomy, sign: int, stream: Stream) -> None:
    count = anatomy.vessels
    x, y = hilum(anatomy, sign)
    starts = np.stack([stream.array(x - 6, x + 4, count), stream.array(y - 10, y + 10, count)], -1) * UNIT
    starts[:, 1] += (np.arange(count) * 44 // count - 20) * UNIT  # the hilum is higher than wide
    angles = -74 + np.arange(count, dtype=np.int64) * 150 // count + stream.array(-7, 7, count)
    lengths = stream.array(92, 128, count) + np.abs(angles) // 3
    widths = stream.array(5 * UNIT, 7 * UNIT, count)
    mirror = np.array([sign, 1])
    for children in (3, 2, 0):
        bends = np.cumsum(stream.array(-15, 15, len(starts), _POINTS - 1), axis=1)
        branches = _branches(starts, angles, bends, lengths)
        taper = widths[:, None] * (20 - 3 * np.arange(_POINTS)) // 20
        weights = np.minimum(widths, 5 * UNIT) * _WEIGHT // UNIT
        raster.stroke(branches * mirror, taper, weights)
        if not children:
            return
        parents = np.repeat(np.arange(len(starts)), children)
        forks = stream.array(1, _POINTS - 2, len(parents))
        side = 1 - 2 * (np.arange(len(parents)) % 2)
        starts = branches[parents, forks]
        angles = angles[parents] + bends[parents, forks] + side * stream.array(24, 50, len(parents))
        lengths = lengths[parents] * stream.array(44, 64, len(parents)) // 100
        widths = np.maximum(taper[parents, forks] * 62 // 100, UNIT * 5 // 4)


def _branches(
    starts: Points, angles: NDArray[np.int64], bends: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Points:
    """Points [branches, points, 2] of lines; `bends` [branches, points - 1] is how far they turn off."""
    headings = angles[:, None] + bends
    stride = lengths[:, None] * UNIT // (_POINTS - 1)
    moves = directions(headings) * stride[..., None] // ONE
    path = np.concatenate([np.zeros_like(moves[:, :1]), np.cumsum(moves, axis=1)], axis=1)
    return path + starts[:, None, :]
