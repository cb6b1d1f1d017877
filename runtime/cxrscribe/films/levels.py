"""Grey levels: from samples of up to 16 bits to brightness of 8."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxrscribe.films.resample import Resolution
from cxrscribe.films.rules import PngRange

Pixels = npt.NDArray[np.uint8]

_STRIP: Final = 1 << 16  # samples that are looked up at once: what they take stays in a processor's cache
_WHITE: Final = 65535


class Picture(NamedTuple):
    """A film's pixels, and how its samples became them."""

    pixels: Pixels
    """uint8 [h, w], black 0 and white 255."""
    display: str
    """`as stored`, `full range`, `range LEAST LARGEST`, `window CENTER WIDTH`, `LUT` or `palette`."""
    resolution: Resolution | None = None
    """Of which film it is one."""
    text: str | None = None
    """What the attribute of DICOM says that was asked for; None where none was, or it says nothing."""


def look_up(table: Pixels, values: npt.NDArray[Any]) -> Pixels:
    """`table[values]`, for integers [h, w] that are all places of the table; three times as fast.

    A strip of rows at a time, for numpy makes an index of 8 bytes of each value.
    """
    found = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP // max(values.shape[1], 1))
    for top in range(0, values.shape[0], rows):
        strip = slice(top, top + rows)
        np.take(table, values[strip], out=found[strip], mode="wrap")  # unlike "raise", it needs no buffer
    return found


def luma(colours: npt.NDArray[Any]) -> Pixels:
    """Grey uint8 [h, w] of RGB [h, w, 3], by ITU-R 601."""
    from PIL import Image

    return np.array(Image.fromarray(np.ascontiguousarray(colours, dtype=np.uint8)).convert("L"))


def stretched(values: npt.NDArray[np.float64], least: float, largest: float) -> npt.NDArray[np.float64]:
    """Brightness 0 to 1 of values, of which the least is black and the largest is white."""
    brightness: npt.NDArray[np.float64] = np.clip((values - least) / max(largest - least, 1e-12), 0.0, 1.0)
    return brightness


def show_16_bit(values: npt.NDArray[Any], png_range: str, transparent: int | None = None) -> Picture:
    """Integers 0 to 65535 [h, w] as uint8, by `PngRange`; those that are `transparent` are black.

    As of padding, what is transparent counts for no range, unless everything is.
    """
    codes = np.arange(_WHITE + 1)
    if png_range == PngRange.FULL:
        table = ((codes + 128) // 257).astype(np.uint8)  # rounded to the nearest
        display = "full range"
    else:
        seen = values if transparent is None else values[values != transparent]
        seen = seen if seen.size else values
        least, largest = int(seen.min()), int(seen.max())
        table = np.rint(stretched(codes.astype(np.float64), least, largest) * 255.0).astype(np.uint8)
        display = f"range {least} {largest}"
    if transparent is not None:
        table[transparent] = 0
    return Picture(look_up(table, values), display)
