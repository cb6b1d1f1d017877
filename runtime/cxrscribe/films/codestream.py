"""What a compressed picture inside a DICOM file says of itself, read without decoding it."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

# JPEG, ISO/IEC 10918-1, table B.1: start-of-frame markers (C4, C8 and CC in their range are others), and the
# markers that no length follows.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_MARKERS: Final = frozenset(range(0xC0)) - {0x01}
_PROGRESSIVE: Final = (0xC2, 0xC6, 0xCA, 0xCE)
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xDA)})

# JPEG 2000, ISO/IEC 15444-1, annex A: start of codestream, and SIZ right behind it.
_J2K_START: Final = b"\xff\x4f\xff\x51"
_J2K_COD: Final = 0xFF52
_J2K_COC: Final = 0xFF53
_J2K_TILE: Final = 0xFF90
_JPEG_START: Final = b"\xff\xd8"


class Codestream(NamedTuple):
    """The head of a compressed picture."""

    height: int
    width: int
    components: int
    """Samples a pixel: 1 for grey."""
    bits: int
    """Of a sample of the first component."""
    start: int = 0
    """Where it begins, behind the boxes of a file of its own."""
    is_signed: bool = False
    is_progressive: bool = False
    """Whether JPEG comes in passes over the whole picture."""
    is_at_origin: bool = True
    """Whether the grid of JPEG 2000 begins where its first pixel and its first tile are."""
    levels: int = 0
    """How often JPEG 2000 can leave out the finest half of its resolution."""


def read_codestream(frame: bytes) -> Codestream | None:
    """The head of a JPEG, JPEG-LS or JPEG 2000 picture; None for anything else.

    A file can say 1024 x 1024 in its header and hold a picture that takes gigabytes once it is decoded, or
    say that it is grey and hold a picture in colours, which some decoders read as scrambled grey.
    """
    if frame.startswith(_JPEG_START):
        return _read_jpeg(frame)
    start = _j2k_start(frame)
    if start is None or len(frame) < start + 43:
        return None
    width, height, left, top, _, _, tile_left, tile_top = struct.unpack_from(">8I", frame, start + 8)
    components, depth = struct.unpack_from(">HB", frame, start + 40)
    return Codestream(
        height - top,
        width - left,
        components,
        bits=(depth & 0x7F) + 1,
        start=start,
        is_signed=depth > 0x7F,
        is_at_origin=not (left or top or tile_left or tile_top),
        levels=_j2k_levels(frame, start),
    )


def _j2k_start(frame: bytes) -> int | None:
    """Where the codestream begins: at once, or in the box `jp2c` of a JP2 file (ISO/IEC 15444-1, annex I)."""
    if frame.startswith(_J2K_START):
        return 0
    place = 0
    while place + 8 <= len(frame):
        length, kind = struct.unpack_from(">I4s", frame, place)
        head = 8
        if length == 1 and place + 16 <= len(frame):  # the length has 64 bits
            (length,), head = struct.unpack_from(">Q", frame, place + 8), 16
        if kind == b"jp2c":
            start = place + head
            return start if frame.startswith(_J2K_START, start) else None
        if length < head:  # 0: up to the end of the file, which only the codestream may be
            return None
        place += length
    return None


def _j2k_levels(frame: bytes, start: int) -> int:
    """Decomposition levels, by COD in the main header (A.6.1); 0 where components may differ (COC)."""
    place, levels = start + 2, 0
    while place + 10 <= len(frame):
        marker, length = struct.unpack_from(">2H", frame, place)
        if marker in (_J2K_COC, _J2K_TILE) or marker < 0xFF00:
            return levels if marker == _J2K_TILE else 0
        if marker == _J2K_COD:
            levels = frame[place + 9]
        place += 2 + length
    return 0


def _read_jpeg(frame: bytes) -> Codestream | None:
    place = 2
    while place + 10 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _NO_MARKERS:  # decoders look for the next one
            return None
        elif marker in _BARE_MARKERS:
            place += 2
        elif marker in _FRAME_MARKERS or marker == 0xF7:  # the last is JPEG-LS (ISO/IEC 14495-1)
            bits, height, width, components = struct.unpack_from(">B2HB", frame, place + 4)
            return Codestream(height, width, components, bits, is_progressive=marker in _PROGRESSIVE)
        else:
            place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None
