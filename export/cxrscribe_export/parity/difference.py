"""How far apart two arrays are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def largest_difference(reference: NDArray[Any], other: NDArray[Any]) -> float:
    """Largest absolute difference of any element; infinite where shapes differ or a number isn't finite."""
    if reference.shape != other.shape or not (np.isfinite(reference).all() and np.isfinite(other).all()):
        return float("inf")
    return float(np.abs(reference.astype(np.float64) - other.astype(np.float64)).max(initial=0.0))
