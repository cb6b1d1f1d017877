"""By which rules a file becomes grey pixels: what a network was trained on is what it has to be shown.

The rules have versions, and a bundle's manifest names its own:

1. DICOM without a window shows what the stored bits allow; LUTs are scaled by what they claim; padding and
   the shape of pixels don't matter.
2. DICOM is shown as `display` says.
3. Also, what can be decoded at a reduced size is decoded at one that is at least twice as large as the
   network's input (three times before), and JPEG and JPEG 2000 inside DICOM are among that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cxrscribe.arguments import shown
from cxrscribe.errors import InputError

NEWEST_RULES: Final = 3
"""Version of the rules that networks are trained with from now on."""

FILM_MODALITIES: Final = ("CR", "DX")
"""Computed and digital radiography (PS3.3, C.7.3.1.1.1): what is read unless a user asks for more."""


_CODE: Final = re.compile(r"[A-Za-z0-9 _]{2,16}")  # PS3.5, 6.2: CS


class PngRange(StrEnum):
    """What is black and what is white in 16-bit grey, of PNG files and of arrays."""

    FULL = "full"
    """0 and 65535, as the PNG specification has it (13.12)."""
    USED = "used"
    """The least and the largest value that the picture has, as of DICOM without a window."""


@dataclass(frozen=True)
class FilmRules:
    """What files are films, and how they are shown.

    Raises InputError when there is no such version or range, or `modalities` are none.
    """

    version: int
    """Of the rules above."""
    png_range: str
    """A `PngRange`."""
    modalities: tuple[str, ...]
    """Of DICOM files: which ones are read, in capitals; empty for all, and then of all parts of the body."""
    text: str | None
    """Keyword of the attribute of DICOM whose text is read with the picture; None for none."""

    def __init__(
        self,
        version: int = NEWEST_RULES,
        png_range: str = PngRange.USED,
        modalities: Iterable[str] = FILM_MODALITIES,
        text: str | None = None,
    ) -> None:
        if isinstance(version, bool) or version not in range(1, NEWEST_RULES + 1):
            raise InputError(
                f"display is {shown(version)}; this version knows rules 1 to {NEWEST_RULES}: take a newer one"
            )
        if png_range not in tuple(PngRange):
            raise InputError(f"png_range is {shown(png_range)}; there are {' and '.join(PngRange)}")
        if not isinstance(modalities, Iterable) or isinstance(modalities, Mapping):
            raise InputError(f"modalities are {shown(modalities)}; give DICOM's codes, as in ('CR', 'DX')")
        given = [modalities] if isinstance(modalities, str) else list(modalities)
        if not all(isinstance(code, str) and _CODE.fullmatch(code) for code in given):
            raise InputError(f"modalities are {shown(given)}; give DICOM's codes, as in ('CR', 'DX')")
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "png_range", str(png_range))
        object.__setattr__(self, "modalities", tuple(code.upper() for code in given))
        object.__setattr__(self, "text", text)

    @property
    def enlargement(self) -> int:
        """How many times larger than the network's input a film is decoded at least, where that is free."""
        return 3 if self.version < 3 else 2

    @property
    def reduces_dicom(self) -> bool:
        """Whether compressed DICOM is decoded at a reduced size."""
        return self.version >= 3
