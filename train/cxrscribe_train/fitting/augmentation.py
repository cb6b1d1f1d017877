"""Random changes of a training film that keep its report true.

A film is turned, shifted, scaled and cropped a little, and its exposure varies. It is never mirrored: the
heart has a side, and reports say left and right.

`paddle.vision.transforms` has the same operations one by one. They draw from Python's global random state,
which no checkpoint holds, and resample the film once for each operation. Here a film is resampled once, and
its change is a function of the seed, the epoch and the film's number, so that a resumed run sees the same
films.

numpy and Pillow are imported where a film is changed: the options of `cxrscribe train` are made from the
fields here, and the help has to come without them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MIDDLE_GREY: Final = 127.5


@dataclass(frozen=True)
class Augmentation:
    """How far a training film may change; 0 everywhere leaves it as it is."""

    rotation: float = field(default=5.0, metadata={"help": "Largest rotation, in degrees."})
    shift: float = field(default=0.04, metadata={"help": "Largest shift, as a share of the film's side."})
    scale: float = field(default=0.08, metadata={"help": "Largest change of size, as a share."})
    crop: float = field(default=0.04, metadata={"help": "Largest strip cut off each side, as a share."})
    brightness: float = field(
        default=0.1, metadata={"help": "Largest change of brightness, as a share of white."}
    )
    contrast: float = field(default=0.2, metadata={"help": "Largest change of contrast, as a share."})

    def __post_init__(self) -> None:
        if not 0 <= self.rotation <= 45:
            raise InputError(f"augmentation: rotation is {self.rotation} degrees; give 0 to 45")
        for name in ("shift", "scale", "crop", "brightness", "contrast"):
            value = getattr(self, name)
            if not 0 <= value < 0.5:
                raise InputError(f"augmentation: {name} is {value}; give a share from 0 to less than 0.5")

    def affine(self, height: int, width: int, rng: np.random.Generator) -> tuple[float, ...]:
        """Draw the geometric part: where each pixel of the new film is taken from.

        Returns:
            (a, b, c, d, e, f): new pixel (x, y) is old pixel (a x + b y + c, d x + e y + f). The determinant
            a e - b d is positive: the film isn't mirrored.
        """
        angle = math.radians(rng.uniform(-self.rotation, self.rotation))
        scale = 1.0 + rng.uniform(-self.scale, self.scale)
        left, top, right, bottom = rng.uniform(0.0, self.crop, 4)
        across, down = (1.0 - left - right) / scale, (1.0 - top - bottom) / scale
        cosine, sine = math.cos(angle), math.sin(angle)
        a, b, d, e = across * cosine, -down * sine, across * sine, down * cosine
        center_x = width * (0.5 + (left - right) / 2 + rng.uniform(-self.shift, self.shift))
        center_y = height * (0.5 + (top - bottom) / 2 + rng.uniform(-self.shift, self.shift))
        return (
            a,
            b,
            center_x - a * width / 2 - b * height / 2,
            d,
            e,
            center_y - d * width / 2 - e * height / 2,
        )

    def exposure(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw brightness and contrast: uint8 [256], the new grey of each old one."""
        import numpy as np

        contrast = 1.0 + rng.uniform(-self.contrast, self.contrast)
        brightness = 255.0 * rng.uniform(-self.brightness, self.brightness)
        greys = (np.arange(256, dtype=np.float32) - _MIDDLE_GREY) * contrast + _MIDDLE_GREY + brightness
        return np.clip(np.rint(greys), 0, 255).astype(np.uint8)

    def __call__(self, film: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Change one film: uint8 [h, w] -> uint8 [h, w]. What comes in from outside is black."""
        import numpy as np
        from PIL import Image

        height, width = film.shape
        moved = Image.fromarray(film).transform(
            (width, height),
            Image.Transform.AFFINE,
            self.affine(height, width, rng),
            Image.Resampling.BILINEAR,
        )
        return self.exposure(rng)[np.asarray(moved)]
