"""Binary PGM, the simplest picture file there is: what other languages read a preprocessed film from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def to_pgm(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels uint8 [h, w] as a binary PGM file ("P5", 255 grey levels, rows from the top).

    The header is three lines, `P5`, `<width> <height>` and `255`; `h * w` bytes follow.
    """
    height, width = pixels.shape
    return b"P5\n%d %d\n255\n" % (width, height) + np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
