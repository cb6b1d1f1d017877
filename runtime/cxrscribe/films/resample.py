"""Resampling of grey 8-bit pictures: the definition, to the bit, whatever Pillow is installed.

A picture is made smaller or larger in up to three steps, each of which rounds to 8 bits:

1. `reduced`: where it is to lose more than `gap` times its pixels along a side, blocks of whole pixels are
   averaged, so many that it stays `gap` times larger than wanted;
2. `filtered` along the rows, then
3. `filtered` along the columns, with a triangle that spans two pixels of the result (of the source, where it
   is enlarged).

That is what Pillow's BILINEAR filter with `reducing_gap` computed up to Pillow 12. From 13 on Pillow filters
tall films along the columns first, which rounds differently: therefore one pass at a time is asked of it. It
does them faster than numpy, and is tried once in each process; one that computes other bits is not used.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

WEIGHT_BITS: Final = 22
"""Fixed point of the filter's weights: 32 bits less 8 of a pixel and 2 for the sum (Pillow's Resample.c)."""
RECIPROCAL_BITS: Final = 24
"""And of the reciprocal of a block's number of pixels, by Pillow's Reduce.c in single precision."""
# Tall, wide, flat, enlarged: (height, width) before and after.
_TRIALS: Final = (((61, 23), (7, 9)), ((40, 97), (16, 5)), ((16, 90), (1, 12)), ((17, 19), (29, 40)))


class Resolution(NamedTuple):
    """Of which film a picture is a resolution of JPEG 2000.

    Its pixels lie where the first ones of 2, 4, ... of the film are, not between them: a level keeps the
    samples of even places (ISO/IEC 15444-1, annex F), and the average of two is half a pixel further.
    """

    height: int
    """Of the film, in pixels."""
    width: int
    times: int
    """How many times larger the film is: 2, 4, ..."""

    @property
    def shift(self) -> float:
        """How many pixels the film begins to the right of and below the first one of the picture."""
        return (self.times - 1) / 2 / self.times


def resample(
    picture: Pixels,
    height: int,
    width: int,
    gap: float | None = None,
    resolution: Resolution | None = None,
) -> Pixels:
    """A picture uint8 [h, w] as uint8 [height, width], all of them at least 1.

    `gap`: how many times larger than the result the average of blocks stays, at least 1; None for none. A
    picture that is a `resolution` of another is taken for the part of that which it shows: its last row and
    column are repeated, for that may end beyond them, and no blocks are averaged.
    """
    if picture.shape == (height, width) and resolution is None:
        return picture
    factors = (1, 1) if resolution is not None else _factors(picture.shape, height, width, gap)
    way = _by_pillow if _pillow_agrees() else _by_numpy
    return way(picture, height, width, factors, resolution)


def reduced(picture: Pixels, rows: int, columns: int) -> Pixels:
    """Averages, halves rounded up, of blocks of so many rows and columns: uint8 [h / rows, w / columns].

    The last blocks of a side may be smaller; a result has at least one.
    """
    height, width = picture.shape
    sums = np.add.reduceat(
        np.add.reduceat(picture, np.arange(0, width, columns), axis=1, dtype=np.uint32),
        np.arange(0, height, rows),
        axis=0,
    )
    counts = np.outer(_block_sizes(height, rows), _block_sizes(width, columns))
    reciprocals = (np.float32(1 << RECIPROCAL_BITS) / counts.astype(np.float32)).astype(np.uint64)
    means: Pixels = (((sums + counts // 2) * reciprocals) >> np.uint64(RECIPROCAL_BITS)).astype(np.uint8)
    return means


def filtered(picture: Pixels, size: int, length: float, start: float = 0.0) -> Pixels:
    """Every row of a picture uint8 [h, w] as one of `size` pixels: uint8 [h, size].

    `length`: how many of the w pixels, from `start` on, the result stands for. Less than w where the last
    one, an average of a smaller block, counts for a part only.
    """
    first, weights = _weights(picture.shape[1], size, length, start)
    sums = np.full((picture.shape[0], size), 1 << (WEIGHT_BITS - 1), np.int32)
    for tap in range(weights.shape[1]):
        columns = np.minimum(first + tap, picture.shape[1] - 1)  # its weight there is 0
        sums += picture[:, columns].astype(np.int32) * weights[:, tap]
    shown: Pixels = np.clip(sums >> WEIGHT_BITS, 0, 255).astype(np.uint8)
    return shown


def _weights(
    source: int, size: int, length: float, start: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Where each pixel of the result begins in its source, and its weights from there on, in fixed point."""
    # Places are of single precision in Pillow.
    scale = float(np.float32(start + length) - np.float32(start)) / size
    reach = max(scale, 1.0)
    centers = start + (np.arange(size) + 0.5) * scale
    first = np.maximum(np.trunc(centers - reach + 0.5), 0).astype(np.int64)
    last = np.minimum(np.trunc(centers + reach + 0.5), source).astype(np.int64)
    taps = np.arange(int((last - first).max()))
    places = first[:, None] + taps
    heights = np.maximum(1.0 - np.abs((places - centers[:, None] + 0.5) * (1.0 / reach)), 0.0)
    heights[places >= last[:, None]] = 0.0
    total = np.zeros(size)
    for tap in taps:  # one after the other, as the order of a sum decides its last bit
        total += heights[:, tap]
    weights = np.trunc(0.5 + heights / total[:, None] * (1 << WEIGHT_BITS)).astype(np.int32)
    return first, weights


def _block_sizes(length: int, size: int) -> npt.NDArray[np.uint32]:
    ends = np.minimum(np.arange(size, length + size, size), length)
    return np.diff(ends, prepend=0).astype(np.uint32)


def _factors(shape: tuple[Any, ...], height: int, width: int, gap: float | None) -> tuple[int, int]:
    """How many rows and columns a block has."""
    if gap is None:
        return 1, 1
    return max(1, int(shape[0] / height / gap)), max(1, int(shape[1] / width / gap))


def _by_numpy(
    picture: Pixels,
    height: int,
    width: int,
    factors: tuple[int, int],
    resolution: Resolution | None = None,
) -> Pixels:
    picture, tall, wide, shift = _prepared(picture, factors, resolution)
    blocks = reduced(picture, *factors) if factors != (1, 1) else picture
    if shift or (blocks.shape[1], wide) != (width, width):
        blocks = filtered(blocks, width, wide, shift)
    if shift or (blocks.shape[0], tall) != (height, height):
        blocks = np.ascontiguousarray(filtered(blocks.T, height, tall, shift).T)
    return blocks


def _by_pillow(
    picture: Pixels,
    height: int,
    width: int,
    factors: tuple[int, int],
    resolution: Resolution | None = None,
) -> Pixels:
    from PIL import Image

    picture, tall, wide, shift = _prepared(picture, factors, resolution)
    image = Image.fromarray(np.ascontiguousarray(picture))
    if factors != (1, 1):
        image = image.reduce((factors[1], factors[0]))
    # One at a time: the order of the two isn't left to Pillow.
    rows, columns = (shift, 0, shift + wide, image.height), (0, shift, width, shift + tall)
    image = image.resize((width, image.height), Image.Resampling.BILINEAR, box=rows)
    image = image.resize((width, height), Image.Resampling.BILINEAR, box=columns)
    return np.asarray(image)


def _prepared(
    picture: Pixels, factors: tuple[int, int], resolution: Resolution | None
) -> tuple[Pixels, float, float, float]:
    """The picture, and how tall and wide its film is in blocks, and from where on."""
    if resolution is None:
        return picture, picture.shape[0] / factors[0], picture.shape[1] / factors[1], 0.0
    repeated = np.pad(picture, ((0, 1), (0, 1)), mode="edge")
    times = resolution.times
    return repeated, resolution.height / times, resolution.width / times, resolution.shift


@cache
def _pillow_agrees() -> bool:
    """Whether the installed Pillow computes the definition's bits."""
    for before, after in _TRIALS:
        picture = (np.add.outer(np.arange(before[0]) ** 2 * 7, np.arange(before[1]) ** 3 * 5) % 256).astype(
            np.uint8
        )
        resolution = Resolution(4 * before[0] - 3, 4 * before[1], 4)
        for how in ((_factors(before, *after, gap=2.0), None), ((1, 1), resolution)):
            if not np.array_equal(_by_pillow(picture, *after, *how), _by_numpy(picture, *after, *how)):
                return False
    return True
