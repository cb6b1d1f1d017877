"""How large a film may be, and how small: checked before its pixels are decoded."""

from __future__ import annotations

from typing import Final

from cxrscribe.errors import FilmError

SMALLEST_SIDE: Final = 16
LARGEST_SIDE: Final = 20_000
MOST_PIXELS: Final = 100_000_000
MOST_BYTES: Final = 1 << 30  # 100 megapixels of three uncompressed 16-bit samples fit in


def check_size(height: int, width: int) -> None:
    """Raise FilmError when a film of this size, in pixels, is not read."""
    limits = f"films have sides of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels and at most 100 megapixels"
    if min(height, width) < SMALLEST_SIDE:
        raise FilmError(f"is {width} x {height} pixels, too small; {limits}")
    if max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise FilmError(f"is {width} x {height} pixels, too large; {limits}: reduce it first")
