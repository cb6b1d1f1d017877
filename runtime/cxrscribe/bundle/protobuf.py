"""The fields of a message in protobuf's encoding, without its library, which the runtime doesn't bring.

https://protobuf.dev/programming-guides/encoding. Whatever protobuf's own parser takes is seen here, or
refused: of two readings of one file, the other would be the one that runs.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

Encoded: TypeAlias = bytes | mmap.mmap

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT: Final = 10
# Protobuf reads no more bytes of these, and keeps 32 bits of a tag: a larger one is another field there.
_LONGEST_TAG: Final = 5
_TAGS: Final = 1 << 32
_SIZES: Final = 1 << 31


class Field(NamedTuple):
    """One field: a whole number, or bytes."""

    number: int
    """Which field of its message it is."""
    value: int | None
    """The whole number; None where it is bytes: a message, a text, packed numbers."""
    start: int
    end: int
    """Where the bytes are."""


def fields(data: Encoded, start: int, end: int) -> Iterator[Field]:
    """The fields of the message from `start` to `end`, in order; those of fixed width are skipped.

    Raises ValueError or IndexError where it isn't one.
    """
    at = start
    while at < end:
        tag, at = _varint(data, at, _LONGEST_TAG, _TAGS)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise ValueError(f"a field without number before byte {at}")
        value, first = None, at
        if kind == _BYTES:
            size, first = _varint(data, at, _LONGEST_TAG, _SIZES)
            at = first + size
        elif kind == _VARINT:
            value, at = _varint(data, at, _LONGEST_VARINT)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"unknown wire type {kind} at byte {at}")
        if at > end:
            raise ValueError(f"a field runs past the end of its part, byte {end}")
        if kind in (_BYTES, _VARINT):
            yield Field(number, value, first, at)


def packed(data: Encoded, start: int, end: int) -> Iterator[int]:
    """Whole numbers one behind the other. Raises ValueError or IndexError where there are none."""
    at = start
    while at < end:
        value, at = _varint(data, at, _LONGEST_VARINT)
        yield value


def _varint(data: Encoded, at: int, longest: int, below: int | None = None) -> tuple[int, int]:
    """A number in base 128, low digits first, and where it ends."""
    number = 0
    for digit in range(longest):
        byte = data[at + digit]
        number |= (byte & 127) << 7 * digit
        if byte < 128:
            if below is not None and number >= below:
                raise ValueError(f"the number at byte {at} is {number}, too large")
            return number, at + digit + 1
    raise ValueError(f"the number at byte {at} has no end")
