"""Curves in fixed point: points are int64 [..., 2] as (x, y) in units of 1/256 px.

Only integers, so that every machine draws the same pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNIT: Final = 256  # one pixel
ONE: Final = 4096  # the sine of a right angle

Points = NDArray[np.int64]


def points(pixels: Sequence[tuple[int, int]]) -> Points:
    """Points [n, 2] from whole pixels."""
    return np.array(pixels, dtype=np.int64) * UNIT


def sine(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sine times 4096, of whole degrees: Bhaskara's rational approximation (error below 0.2 %)."""
    return _SINES[degrees % 360]


def cosine(degrees: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cosine times 4096, of whole degrees."""
    return _SINES[(degrees + 90) % 360]


def directions(degrees: NDArray[np.int64]) -> Points:
    """Vectors [..., 2] of length 4096 at angles [...], from the x axis towards the y axis."""
    return np.stack([cosine(degrees), sine(degrees)], axis=-1)


def length(vectors: Points) -> NDArray[np.int64]:
    """Length [...] of vectors [..., 2], at most 3 % off (the larger side plus part of the smaller)."""
    sides = np.abs(vectors)
    larger = sides.max(axis=-1)
    smaller = sides.min(axis=-1)
    return np.maximum(larger, (larger * 7 >> 3) + (smaller >> 1))


def spline(controls: Points, steps: int) -> Points:
    """Catmull-Rom curve [..., (n - 1) * steps + 1, 2] through controls [..., n, 2]."""
    padded = np.concatenate(
        [
            2 * controls[..., :1, :] - controls[..., 1:2, :],
            controls,
            2 * controls[..., -1:, :] - controls[..., -2:-1, :],
        ],
        axis=-2,
    )
    return np.concatenate([_between(padded, steps), controls[..., -1:, :]], axis=-2)


def closed_spline(controls: Points, steps: int) -> Points:
    """Closed Catmull-Rom curve [..., n * steps, 2] through controls [..., n, 2]."""
    padded = np.concatenate([controls[..., -1:, :], controls, controls[..., :2, :]], axis=-2)
    return _between(padded, steps)


def ellipses(centers: Points, radii: Points, corners: int = 24) -> Points:
    """Points [..., corners, 2] of ellipses with centers [..., 2] and radii [..., 2]."""
    return centers[..., None, :] + radii[..., None, :] * _circle(corners) // ONE


def ellipse(center: tuple[int, int], radii: tuple[int, int], corners: int = 24) -> Points:
    """Points [corners, 2] of an ellipse; center and radii in 1/256 px."""
    return ellipses(np.array(center, dtype=np.int64), np.array(radii, dtype=np.int64), corners)


def _between(padded: Points, steps: int) -> Points:
    count = padded.shape[-2] - 3
    windows = np.stack([padded[..., i : i + count, :] for i in range(4)], axis=-2)  # [..., count, 4, 2]
    curve = (_spline_weights(steps) @ windows) // (2 * steps**3)  # [..., count, steps, 2]
    return curve.reshape(*padded.shape[:-2], count * steps, 2)


@lru_cache
def _circle(corners: int) -> NDArray[np.int64]:
    """int64 [corners, 2]: a circle with a radius of 4096."""
    return directions(np.arange(corners, dtype=np.int64) * 360 // corners)


@lru_cache
def _spline_weights(steps: int) -> NDArray[np.int64]:
    """Weights [steps, 4] of the four controls around a piece, over 2 * steps^3."""
    j = np.arange(steps, dtype=np.int64)
    s = steps
    return np.stack(
        [
            -j * s * s + 2 * j * j * s - j**3,
            2 * s**3 - 5 * j * j * s + 3 * j**3,
            j * s * s + 4 * j * j * s - 3 * j**3,
            -j * j * s + j**3,
        ],
        axis=-1,
    )


def _sines() -> NDArray[np.int64]:
    x = np.arange(180, dtype=np.int64)
    half = 4 * x * (180 - x) * ONE // (40500 - x * (180 - x))
    return np.concatenate([half, -half])


_SINES: Final = _sines()
