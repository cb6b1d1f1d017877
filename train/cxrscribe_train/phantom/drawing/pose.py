"""Where the chest lies on the film: shift, rotation, and size in each direction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxrscribe_train.phantom.drawing.curve import ONE, UNIT, Points
from cxrscribe_train.phantom.drawing.noise import Stream

CENTER = 256  # px, of a film of 512 x 512; the chest's own y axis starts at the film's top


@dataclass(frozen=True)
class Pose:
    """Affine map from the chest's frame to the film's.

    The chest's frame has x = 0 at the midline, positive to the picture's right (the patient's left), and y
    from 0 at the top to 512; the shift is in 1/256 px, the matrix in 1/4096.
    """

    shift: tuple[int, int] = (0, 0)
    xx: int = ONE
    xy: int = 0
    yx: int = 0
    yy: int = ONE

    @classmethod
    def drawn(cls, stream: Stream) -> Pose:
        """A random pose: up to 10 px off, 2 degrees turned, 6 % larger or smaller, wider or longer."""
        shift = (stream.between(-10, 10) * UNIT, stream.between(-8, 10) * UNIT)
        turn = stream.between(-143, 143)  # 4096 * tan(2 degrees)
        size = stream.between(3810, 4180)
        width = size * stream.between(3960, 4220) // ONE
        height = size * stream.between(3960, 4200) // ONE
        return cls(shift, xx=width, xy=-turn * width // ONE, yx=turn * height // ONE, yy=height)

    def __call__(self, points: Points) -> Points:
        """Points [..., 2] on the film, in 1/256 px from its top left corner."""
        x = points[..., 0]
        y = points[..., 1] - CENTER * UNIT
        film_x = (self.xx * x + self.xy * y) // ONE + self.shift[0] + CENTER * UNIT
        film_y = (self.yx * x + self.yy * y) // ONE + self.shift[1] + CENTER * UNIT
        return np.stack([film_x, film_y], axis=-1)
