"""Random numbers and random fields of a phantom's drawing, the same on every machine."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.phantom.stream import IntegerStream, named_seed

_WORD: Final = 1 << 64
_GOLDEN: Final = 0x9E3779B97F4A7C15  # splitmix64's constants: arrays hold the numbers that `next` would give
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB
_HALF: Final = np.uint64(32)


class Stream(IntegerStream):
    """A stream that also gives ranges, arrays and streams of its own for parts of the film."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._seed = seed

    def fork(self, name: str) -> Stream:
        """A stream of its own for a part; it depends on the name only, not on what was drawn before."""
        return Stream(named_seed(self._seed, name))

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def sign(self) -> int:
        """Minus one or one."""
        return 1 - 2 * self.below(2)

    def array(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """int64 [*shape], whole numbers from low to high, both included: what `between` would give."""
        words = self._words(int(np.prod(shape, dtype=np.int64)))
        span = np.uint64(high - low + 1)
        # The upper half of words * span, without 128 bits.
        carried = ((words & np.uint64(0xFFFFFFFF)) * span) >> _HALF
        drawn = ((words >> _HALF) * span + carried) >> _HALF
        return drawn.astype(np.int64).reshape(shape) + low

    def octets(self, count: int) -> NDArray[np.uint8]:
        """uint8 [count], a multiple of 8."""
        return self._words(count // 8).astype("<u8").view(np.uint8)

    def _words(self, count: int) -> NDArray[np.uint64]:
        words = np.arange(1, 1 + count, dtype=np.uint64)
        words *= np.uint64(_GOLDEN)
        words += np.uint64(self._state)
        self._state = (self._state + count * _GOLDEN) % _WORD
        words ^= words >> np.uint64(30)
        words *= np.uint64(_FIRST)
        words ^= words >> np.uint64(27)
        words *= np.uint64(_SECOND)
        words ^= words >> np.uint64(31)
        return words


def grain(stream: Stream, size: int) -> NDArray[np.int16]:
    """int16 [size, size]: independent noise of each pixel, triangular, from -127 to 127."""
    octets = stream.octets(2 * size * size)
    half = size * size
    return ((octets[:half] >> 1).astype(np.int16) - (octets[half:] >> 1)).reshape(size, size)


def clouds(stream: Stream, size: int, cell: int) -> NDArray[np.int32]:
    """int32 [size, size]: smooth noise from -128 to 127; lattice points lie `cell` pixels apart."""
    count = -(-size // cell) + 1
    lattice = stream.array(-128, 127, count, count).astype(np.int32)
    return _enlarged(lattice, _smooth_weights(cell))[:size, :size]


def enlarged(field: NDArray[np.int32], doublings: int) -> NDArray[np.int32]:
    """int32 [h, w] to int32 [h * f, w * f], f = 2 ** doublings, linear between the old pixels' centers."""
    for _ in range(doublings):
        field = _doubled(field)
    return field


def _doubled(field: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [h, w] to int32 [2 * h, 2 * w]: a new pixel is 3/4 its old one and 1/4 the next, both ways."""
    height, width = field.shape
    tall = np.repeat(field * 3, 2, axis=0)
    tall[2::2] += field[:-1]
    tall[1:-1:2] += field[1:]
    tall[0] += field[0]
    tall[-1] += field[-1]
    large = np.empty((2 * height, 2 * width), dtype=np.int32)
    threefold = tall * 3 + 8
    large[:, 2::2] = threefold[:, 1:] + tall[:, :-1]
    large[:, 1:-1:2] = threefold[:, :-1] + tall[:, 1:]
    large[:, 0] = threefold[:, 0] + tall[:, 0]
    large[:, -1] = threefold[:, -1] + tall[:, -1]
    large >>= 4
    return large


def _enlarged(lattice: NDArray[np.int32], weights: NDArray[np.int32]) -> NDArray[np.int32]:
    """int32 [h, w] to int32 [(h - 1) * f, (w - 1) * f]; weights int32 [f] of the next point, of 256."""
    height, width = lattice.shape
    factor = len(weights)
    fine: NDArray[np.int32] = (
        lattice[:, :-1, None] * 256 + (lattice[:, 1:] - lattice[:, :-1])[:, :, None] * weights
    )
    wide: NDArray[np.int32] = (fine >> 4).reshape(height, (width - 1) * factor)  # in sixteenths
    tall = wide[:-1, None, :] * 256 + (wide[1:] - wide[:-1])[:, None, :] * weights[:, None]
    tall >>= 12
    return tall.reshape((height - 1) * factor, (width - 1) * factor)


def _smooth_weights(cell: int) -> NDArray[np.int32]:
    """int32 [cell]: 3t^2 - 2t^3 of 256, so that the lattice doesn't show."""
    t = np.arange(cell, dtype=np.int64)
    return (256 * (3 * t * t * cell - 2 * t**3) // cell**3).astype(np.int32)
