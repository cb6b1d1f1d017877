"""Noise: films that nobody has sent, to warm a model up, or to hold two ways to run it side by side."""

from __future__ import annotations

from math import prod
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

_BITS: Final = 24
"""Of a float32 below 1 that are the same from 0 on."""


def uniform(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Numbers from 0 to below 1, float32 of this shape, the same ones for a seed everywhere.

    Without numpy.random: three megabytes that a report has no other use for.
    """
    drawn = np.frombuffer(Random(seed).randbytes(4 * prod(shape)), "<u4") >> (32 - _BITS)
    return (drawn.astype(np.float32) / np.float32(1 << _BITS)).reshape(shape)


def noise(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint8]:
    """Grey levels, uint8 of this shape, likewise."""
    return np.frombuffer(Random(seed).randbytes(prod(shape)), np.uint8).reshape(shape)
