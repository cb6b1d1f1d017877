"""What compressed pictures say of themselves."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from cxrscribe.errors import FilmError
from cxrscribe.films.codestream import Codestream, read_codestream
from support.compressed import jpeg, jpeg_2000
from support.dicom_file import encapsulated, shown_dicom

FILM = np.random.default_rng(0).integers(0, 256, (40, 48), dtype=np.uint8)
COLOURS = np.repeat(FILM[:, :, None], 3, axis=2)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (jpeg(FILM), Codestream(40, 48, 1, 8)),
        (jpeg(COLOURS), Codestream(40, 48, 3, 8)),
        (jpeg(FILM, progressive=True), Codestream(40, 48, 1, 8, is_progressive=True)),
        (jpeg_2000(FILM), Codestream(40, 48, 1, 8, levels=5)),
        (jpeg_2000(FILM, num_resolutions=3), Codestream(40, 48, 1, 8, levels=2)),
        (jpeg_2000(FILM.astype(np.uint16) * 257), Codestream(40, 48, 1, 16, levels=5)),
        (jpeg_2000(COLOURS, no_jp2=False), Codestream(40, 48, 3, 8, start=85, levels=5)),
        (b"", None),
        (b"\xff\xd8\xff", None),
        (b"\xff\x4f\xff\x51", None),
    ],
)
def test_head_is_read(frame: bytes, expected: Codestream | None) -> None:
    assert read_codestream(frame) == expected


def test_boxes_are_walked_however_large_and_whatever_they_hold() -> None:
    """A box may hold what looks like another codestream, and be larger than anyone would search."""
    jp2 = jpeg_2000(FILM, no_jp2=False)
    decoy = box(b"uuid", bytes(16) + jpeg_2000(FILM[:16, :16]) + bytes(8000))
    start = len(decoy) + jp2.index(b"\xff\x4f\xff\x51")
    found = read_codestream(jp2[:12] + decoy + jp2[12:])
    assert found == Codestream(40, 48, 1, 8, start=start, levels=5)
    assert read_codestream(jp2[:12] + b"\0\0\0\0free" + jp2[12:]) is None


@pytest.mark.parametrize(
    ("frame", "syntax", "message"),
    [
        (jpeg(COLOURS), JPEGBaseline8Bit, "of 3 samples each, but its header says 1"),
        (jpeg_2000(COLOURS), JPEG2000Lossless, "of 3 samples each, but its header says 1"),
        (jpeg_2000(FILM.astype(np.uint16)), JPEG2000Lossless, "of 16 bits, but its header has room for 8"),
        (jpeg(FILM[:20]), JPEGBaseline8Bit, "of another size"),
    ],
)
def test_picture_that_is_another_one_than_the_header_says_is_refused(
    frame: bytes, syntax: str, message: str
) -> None:
    with pytest.raises(FilmError, match=message):
        shown_dicom(encapsulated(frame, FILM, syntax))


@pytest.mark.parametrize("table", [b"", b"\0\0\0\0", struct.pack("<I", 77), bytes(6)], ids=len)
def test_offset_table_of_one_frame_does_not_matter(table: bytes) -> None:
    frame = jpeg(FILM, quality=95)
    frame += b"\0" * (len(frame) % 2)
    items = struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table
    for part in (frame[:100], frame[100:]):
        items += struct.pack("<HHI", 0xFFFE, 0xE000, len(part)) + part
    plain = encapsulated(frame, FILM, JPEGBaseline8Bit)
    start = plain.index(b"\xfe\xff\x00\xe0")
    end = plain.index(b"\xfe\xff\xdd\xe0")
    assert np.array_equal(shown_dicom(plain[:start] + items + plain[end:]), shown_dicom(plain))
