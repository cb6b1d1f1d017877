"""The sheets on which the parts of a chest are drawn before they become one film."""

from __future__ import annotations

from dataclasses import dataclass

from cxrscribe_train.phantom.drawing.pose import Pose
from cxrscribe_train.phantom.drawing.raster import Raster

FULL = 256  # the whole of a pixel, of a lung's air, ...


@dataclass(frozen=True)
class Sheets:
    """One raster for each way in which a part changes the film.

    Shares are of 256; thicknesses are what the part adds, in 1/16 mm of soft tissue.
    """

    body: Raster  # share of a pixel inside the body
    lungs: Raster  # share of a pixel inside the lungs' outlines
    solid: Raster  # share of the lung's air that something with a clear border replaces
    haze: Raster  # the same, by something with a fuzzy border
    gas: Raster  # share of a pixel where the pleural space holds air and no lung
    markings: Raster  # thickness, seen only where lung is aerated
    soft: Raster  # thickness with a soft border
    bones: Raster  # thickness with a clear border
    devices: Raster  # thickness with a sharp border: metal, plastic, calcium

    @classmethod
    def blank(cls, pose: Pose) -> Sheets:
        """Empty sheets for a chest in this pose; what has a soft border is drawn smaller."""
        return cls(
            body=Raster(pose, 4),
            lungs=Raster(pose, 2),
            solid=Raster(pose, 2),
            haze=Raster(pose, 4),
            gas=Raster(pose, 2),
            markings=Raster(pose),
            soft=Raster(pose, 2),
            bones=Raster(pose),
            devices=Raster(pose),
        )
