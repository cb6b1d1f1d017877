"""What Pillow doesn't check of a PNG: that it is whole.

PNG specification (ISO/IEC 15948): 5.3 to 5.6 for chunks, 8.2 for interlacing, 11.2 for the header.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cxrscribe.errors import FilmError, Reason

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_DAMAGED: Final = "is a damaged PNG file"
_REMEDY: Final = "fetch it again"
_PIECE: Final = 1 << 20
_MOST_CHUNKS: Final = 1_000_000
_PALETTE: Final = 3
_MAY_TURN: Final = frozenset((b"eXIf", b"tEXt", b"zTXt", b"iTXt"))
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""A pixel's, by colour type."""
# Adam7 (8.2): first column and row of each pass, and the steps to the next.
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


@dataclass(frozen=True)
class PngHead:
    """What a PNG's chunks tell before its pixels are unpacked."""

    width: int
    height: int
    depth: int
    """Bits of a sample."""
    samples: int
    """Of a pixel."""
    is_interlaced: bool
    may_hide_rows: bool
    """Whether missing rows needn't be black and last: a palette, or EXIF or XMP that may turn it."""
    data: tuple[slice, ...]
    """Where its compressed pixels are."""

    @property
    def unpacked_bytes(self) -> int:
        """Of all rows, each with the byte that says how it is filtered."""
        passes = _PASSES if self.is_interlaced else ((0, 0, 1, 1),)
        total = 0
        for left, top, step_x, step_y in passes:
            columns, rows = -(-(self.width - left) // step_x), -(-(self.height - top) // step_y)
            if columns > 0 and rows > 0:
                total += rows * (1 + (columns * self.samples * self.depth + 7) // 8)
        return total


def read_head(content: bytes) -> PngHead:
    """The head of a PNG, all of whose chunks are whole.

    Raises FilmError when a chunk is cut off or has a wrong checksum, the first one isn't IHDR, or IEND is
    missing.
    """
    header, data, may_turn = b"", [], False
    for kind, place in _chunks(content):
        if not header:
            if kind != b"IHDR" or place.stop - place.start != 13:
                raise FilmError(f"{_DAMAGED} (it doesn't begin with its header); {_REMEDY}")
            header = content[place]
        elif kind == b"IDAT":
            data.append(place)
        elif kind in _MAY_TURN:
            may_turn = True
    width, height, depth, colour, _, _, interlace = struct.unpack(">2I5B", header)
    if depth not in (1, 2, 4, 8, 16) or colour not in _SAMPLES:
        raise FilmError(f"{_DAMAGED} (it says {depth} bits and colour type {colour}); {_REMEDY}")
    return PngHead(
        width, height, depth, _SAMPLES[colour], interlace != 0, may_turn or colour == _PALETTE, tuple(data)
    )


def check_rows(content: bytes, head: PngHead) -> None:
    """Raise FilmError when there are fewer rows than the header says: Pillow leaves the rest black.

    Unpacks all of it once more, a piece at a time.
    """
    inflate, total = zlib.decompressobj(), 0
    try:
        for place in head.data:
            waiting = content[place]
            while waiting and total < head.unpacked_bytes:
                total += len(inflate.decompress(waiting, _PIECE))
                waiting = inflate.unconsumed_tail
        while total < head.unpacked_bytes and (piece := inflate.decompress(inflate.unconsumed_tail, _PIECE)):
            total += len(piece)
    except zlib.error as error:
        raise FilmError(f"{_DAMAGED} ({error}); {_REMEDY}") from None
    if total < head.unpacked_bytes:
        raise FilmError(
            f"{_DAMAGED} (it holds {total:,} of {head.unpacked_bytes:,} bytes of rows); {_REMEDY}"
        )


def _chunks(content: bytes) -> Iterator[tuple[bytes, slice]]:
    """Kind of each chunk and where its data is, up to IEND."""
    place = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if place + 12 > len(content):
            break
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if end + 4 > len(content):
            break
        (checksum,) = struct.unpack_from(">I", content, end)
        if zlib.crc32(memoryview(content)[place + 4 : end]) != checksum:
            raise FilmError(f"{_DAMAGED} (the chunk at byte {place:,} has a wrong checksum); {_REMEDY}")
        yield kind, slice(place + 8, end)
        if kind == b"IEND":
            return
        place = end + 4
    else:
        raise FilmError(f"is a PNG file of more than {_MOST_CHUNKS:,} chunks; save it anew")
    raise FilmError(f"{_DAMAGED} (it is cut off at byte {len(content):,}); {_REMEDY}", Reason.TRUNCATED)
