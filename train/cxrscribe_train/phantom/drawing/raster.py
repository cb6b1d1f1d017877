"""Filling outlines and strokes, in integers, with soft edges.

Each outline's edges leave their weight in a map of differences; one running sum along the rows then fills all
outlines at once. Edges are sampled on two lines a pixel row and are exact to 1/256 px along the row.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.phantom.drawing.curve import UNIT, Points, length
from cxrscribe_train.phantom.drawing.pose import Pose

FILM_SIZE: Final = 512  # px
_LINES: Final = 2  # sampled a pixel row
_LINE_STEP: Final = UNIT // _LINES


class Raster:
    """A film-sized sheet on which weights of outlines add up.

    Outlines are given in the chest's frame, in 1/256 px. `reduction` makes the sheet so many times smaller.
    """

    def __init__(self, pose: Pose, reduction: int = 1) -> None:
        self._pose = pose
        self._reduction = reduction
        self.size = FILM_SIZE // reduction
        self._starts: list[Points] = []
        self._ends: list[Points] = []
        self._weights: list[NDArray[np.int64]] = []

    def fill(self, outlines: Points, weight: int | NDArray[np.int64]) -> None:
        """Add the weight inside closed outlines [..., n, 2]; one weight, or one an outline [...]."""
        posed = self._posed(outlines)
        following = np.roll(posed, -1, axis=-2)
        area = (posed[..., 0] * following[..., 1] - following[..., 0] * posed[..., 1]).sum(axis=-1)
        self._add(posed, following, weight * np.sign(area))

    def stroke(self, lines: Points, width: int | NDArray[np.int64], weight: int | NDArray[np.int64]) -> None:
        """Add the weight along open lines [..., n, 2]; the width, or one a point, is in 1/256 px."""
        along = np.empty_like(lines)
        along[..., 1:-1, :] = lines[..., 2:, :] - lines[..., :-2, :]
        along[..., 0, :] = lines[..., 1, :] - lines[..., 0, :]
        along[..., -1, :] = lines[..., -1, :] - lines[..., -2, :]
        size = np.maximum(length(along), 1) * 2
        across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
        across = across * np.broadcast_to(np.asarray(width), size.shape)[..., None] // size[..., None]
        self.fill(np.concatenate([lines + across, (lines - across)[..., ::-1, :]], axis=-2), weight)

    @property
    def blank(self) -> bool:
        """Whether nothing has been drawn."""
        return not self._starts

    def sheet(self) -> NDArray[np.int32]:
        """int32 [size, size]: the sum of the weights of everything drawn so far."""
        differences = np.zeros(self.size * (self.size + 2), dtype=np.int32)
        if self._starts:
            self._mark(differences)
        rows = differences.reshape(self.size, self.size + 2)
        sums = np.cumsum(rows[:, : self.size], axis=1, dtype=np.int32)
        sums >>= (UNIT * _LINES).bit_length() - 1
        return sums

    def _posed(self, outlines: Points) -> Points:
        return self._pose(outlines) // self._reduction

    def _add(self, starts: Points, ends: Points, weights: NDArray[np.int64]) -> None:
        self._starts.append(starts.reshape(-1, 2))
        self._ends.append(ends.reshape(-1, 2))
        self._weights.append(np.broadcast_to(weights[..., None], starts.shape[:-1]).reshape(-1))

    def _mark(self, differences: NDArray[np.int32]) -> None:
        starts = np.concatenate(self._starts)
        ends = np.concatenate(self._ends)
        weights = np.concatenate(self._weights)
        down = starts[:, 1] < ends[:, 1]
        top = np.where(down[:, None], starts, ends)
        bottom = np.where(down[:, None], ends, starts)
        weights = np.where(down, -weights, weights)
        # Sampled lines lie at y = (i + 1/2) * step; an edge owns those from its top to before its bottom.
        half = _LINE_STEP // 2
        last_line = self.size * _LINES
        first = np.clip(-((half - top[:, 1]) // _LINE_STEP), 0, last_line)
        stop = np.clip(-((half - bottom[:, 1]) // _LINE_STEP), 0, last_line)
        counts = stop - first
        edges = np.repeat(np.arange(len(counts)), counts)
        lines = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts - first, counts)
        below = lines * _LINE_STEP + half - top[edges, 1]
        slope = bottom - top
        x = top[edges, 0] + below * slope[edges, 0] // slope[edges, 1]
        x = np.clip(x, 0, self.size * UNIT)
        position = (lines // _LINES) * (self.size + 2) + x // UNIT
        part = x % UNIT
        weight = weights[edges]
        np.add.at(differences, position, (weight * (UNIT - part)).astype(np.int32))
        np.add.at(differences, position + 1, (weight * part).astype(np.int32))


def blurred(sheet: NDArray[np.int32], rounds: int) -> NDArray[np.int32]:
    """int32 [h, w]: `rounds` times the mean of 3 x 3 neighbours weighted 1-2-1; the border stays."""
    for _ in range(rounds):
        sheet = _smoothed_once(sheet)
    return sheet


def box_blurred(sheet: NDArray[np.int32], radius: int) -> NDArray[np.int32]:
    """int32 [h, w]: the mean of the (2 * radius + 1)^2 neighbours, the border's pixels repeated outside."""
    for axis in (0, 1):
        sheet = _box_along(sheet, radius, axis)
    return sheet


def _smoothed_once(sheet: NDArray[np.int32]) -> NDArray[np.int32]:
    tall = sheet * 2
    tall[1:-1] = sheet[:-2] + sheet[2:]
    tall[1:-1] += sheet[1:-1] * 2
    tall[0] *= 2
    tall[-1] *= 2
    result = tall * 4
    result[:, 1:-1] = tall[:, :-2] + tall[:, 2:]
    result[:, 1:-1] += tall[:, 1:-1] * 2
    result >>= 4
    return result


def _box_along(sheet: NDArray[np.int32], radius: int, axis: int) -> NDArray[np.int32]:
    padding = [(0, 0), (0, 0)]
    padding[axis] = (radius + 1, radius)
    sums = np.cumsum(np.pad(sheet, padding, mode="edge"), axis=axis, dtype=np.int32)
    width = 2 * radius + 1
    if axis == 0:
        return (sums[width:] - sums[:-width]) // width
    return (sums[:, width:] - sums[:, :-width]) // width
