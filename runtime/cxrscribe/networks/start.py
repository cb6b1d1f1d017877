"""What a search starts from: a film's features and, for a model with a context, the patient's numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]


def start_inputs(rows: Rows, feature_size: int) -> dict[str, Rows]:
    """The inputs of the graphs `decoder_init` and `beam_init`, by name.

    `rows`: float32 [N, F] or [N, F + P]; `feature_size`: F. What stands behind the features is `patient`.
    """
    if rows.shape[1] == feature_size:
        return {"features": rows}
    parts = {"features": rows[:, :feature_size], "patient": rows[:, feature_size:]}
    return {name: np.ascontiguousarray(part) for name, part in parts.items()}
