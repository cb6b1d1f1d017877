"""Noise is the same everywhere, and looks like noise."""

from __future__ import annotations

import numpy as np

from cxrscribe.noise import noise, uniform


def test_it_is_the_same_for_a_seed_and_spread_evenly() -> None:
    drawn = uniform((50, 40), 1)
    assert (drawn.shape, drawn.dtype) == ((50, 40), np.float32)
    assert drawn.tobytes() == uniform((50, 40), 1).tobytes() != uniform((50, 40), 2).tobytes()
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() < 1
    assert abs(float(drawn.mean()) - 0.5) < 0.03
    assert noise((3, 4)).tolist() == noise((3, 4)).tolist()
    assert np.unique(noise((64, 64))).size == 256
