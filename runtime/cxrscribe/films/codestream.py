"""The size that a compressed picture inside a DICOM file gives itself, read without decoding it."""

from __future__ import annotations

import struct
from typing import Final

# JPEG, ISO/IEC 10918-1, table B.1: start-of-frame markers (C4, C8 and CC in their range are others), and the
# markers that no length follows.
_FRAME_MARKERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE_MARKERS: Final = frozenset({0x01, *range(0xD0, 0xDA)})

# JPEG 2000, ISO/IEC 15444-1, annex A: start of codestream, and SIZ right behind it.
_J2K_START: Final = b"\xff\x4f\xff\x51"
_JPEG_START: Final = b"\xff\xd8"


def codestream_size(frame: bytes) -> tuple[int, int] | None:
    """(height, width) in pixels of a JPEG, JPEG-LS or JPEG 2000 picture; None for anything else.

    A file can say 1024 x 1024 in its header and hold a picture that takes gigabytes once it is decoded.
    """
    if frame.startswith(_JPEG_START):
        return _jpeg_size(frame)
    start = frame.find(_J2K_START, 0, 4096)  # behind the boxes, if it is wrapped as a JP2 file
    if start < 0 or len(frame) < start + 24:
        return None
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    return height - top, width - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            return None
        marker = frame[place + 1]
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _BARE_MARKERS:
            place += 2
        elif marker in _FRAME_MARKERS or marker == 0xF7:  # the last is JPEG-LS (ISO/IEC 14495-1)
            height, width = struct.unpack_from(">2H", frame, place + 5)
            return height, width
        else:
            place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None
