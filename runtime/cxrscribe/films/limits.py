"""How large a film may be, and how small, checked before its pixels are decoded; and what can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, Reason
from cxrscribe.forks import ForkSafeLock
from cxrscribe.freed_memory import return_freed_memory

SMALLEST_SIDE: Final = 16
LARGEST_SIDE: Final = 20_000
MOST_PIXELS: Final = 100_000_000
MOST_BYTES: Final = 1 << 30  # 100 megapixels of three uncompressed 16-bit samples fit in

LARGE_PIXELS: Final = 25_000_000  # more than a film has, of which the largest in use have 20 megapixels
LEAST_LEVELS: Final = 8
LEAST_DEVIATION: Final = 2.0

_large: Final = ForkSafeLock()


def check_size(height: int, width: int) -> None:
    """Raise FilmError when a film of this size, in pixels, is not read."""
    limits = f"films have sides of {SMALLEST_SIDE} to {LARGEST_SIDE:,} pixels and at most 100 megapixels"
    if min(height, width) < SMALLEST_SIDE:
        raise FilmError(f"is {width} x {height} pixels, too small; {limits}", Reason.NOT_A_RADIOGRAPH)
    if max(height, width) > LARGEST_SIDE or height * width > MOST_PIXELS:
        raise FilmError(
            f"is {width} x {height} pixels, too large; {limits}: reduce it first", Reason.TOO_LARGE
        )


@contextmanager
def room_for(height: int, width: int) -> Iterator[None]:
    """To decode a film of this size in: one large film at a time, however many threads read.

    A film of 100 megapixels in colours takes a gigabyte while it is decoded. What it took is given back to
    the system: glibc keeps it for the thread that had it, and there are several.
    """
    if height * width <= LARGE_PIXELS:
        yield
        return
    with _large:
        try:
            yield
        finally:
            return_freed_memory()


def check_visible(fitted: npt.NDArray[np.uint8]) -> None:
    """Raise FilmError when a film, fitted but without padding, has nothing that could be reported."""
    levels, deviation = np.count_nonzero(np.bincount(fitted.reshape(-1), minlength=256)), fitted.std()
    if levels < LEAST_LEVELS or deviation < LEAST_DEVIATION:
        raise FilmError(
            f"has nothing to see: {levels} grey level{'s' if levels != 1 else ''}, standard deviation "
            f"{deviation:.1f} of 255, where a film has at least {LEAST_LEVELS} and {LEAST_DEVIATION:g}; "
            "look at it in a viewer",
            Reason.NOT_A_RADIOGRAPH,
        )
