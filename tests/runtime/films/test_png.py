"""PNG files that are not whole."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscribe.errors import FilmError
from cxrscribe.films.film import read_film
from cxrscribe.films.png import SIGNATURE, check_rows, read_head

pytestmark = pytest.mark.arm64

PIXELS = np.random.default_rng(0).integers(1, 256, (40, 48), dtype=np.uint8)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, interlace))


def rows(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def png(*chunks: bytes, end: bool = True) -> bytes:
    return SIGNATURE + b"".join(chunks) + (chunk(b"IEND", b"") if end else b"")


def film(pixels: np.ndarray, *, says: int | None = None) -> bytes:
    """`pixels` in a file that says it has `says` rows."""
    height = pixels.shape[0] if says is None else says
    return png(header(pixels.shape[1], height), chunk(b"IDAT", zlib.compress(rows(pixels))))


def test_whole_file_is_read() -> None:
    assert np.array_equal(read_film(film(PIXELS)), PIXELS)
    black_end = np.concatenate((PIXELS, np.zeros((3, 48), np.uint8)))
    assert np.array_equal(read_film(film(black_end)), black_end)


@pytest.mark.parametrize("there", [1, 20, 39])
def test_too_few_rows_are_refused(there: int) -> None:
    with pytest.raises(FilmError, match=rf"holds {there * 49:,} of 1,960 bytes of rows"):
        read_film(film(PIXELS[:there], says=40))


def test_damage_of_any_chunk_and_a_missing_end_are_refused() -> None:
    content = film(PIXELS)
    for place in (len(SIGNATURE) + 10, len(SIGNATURE) + 25 + 30, len(content) - 14):
        wrong = bytearray(content)
        wrong[place] ^= 1
        with pytest.raises(
            FilmError, match=r"damaged PNG file \(the chunk at byte [\d,]+ has a wrong checksum"
        ):
            read_film(bytes(wrong))
    with pytest.raises(FilmError, match="is cut off at byte"):
        read_film(content[:-12])
    with pytest.raises(FilmError, match="doesn't begin with its header"):
        read_film(png(chunk(b"prVt", bytes(16)), content[len(SIGNATURE) :], end=False))
    with pytest.raises(FilmError, match="it says 3 bits"):
        read_film(png(header(48, 40, depth=3), chunk(b"IDAT", zlib.compress(rows(PIXELS)))))


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "P", "I;16"]),
    height=st.integers(16, 40),
    width=st.integers(16, 40),
)
def test_size_of_the_rows_is_that_of_what_pillow_writes(mode: str, height: int, width: int) -> None:
    content = BytesIO()
    Image.new(mode, (width, height)).save(content, "PNG")
    head = read_head(content.getvalue())
    unpacked = zlib.decompress(b"".join(content.getvalue()[place] for place in head.data))
    assert len(unpacked) == head.unpacked_bytes
    check_rows(content.getvalue(), head)


def test_size_of_interlaced_rows() -> None:
    """From the standard's own example: passes of 8 x 8 have rows of 1, 1, 2, 2, 4, 4 and 8 pixels."""
    head = read_head(png(header(8, 8, interlace=1), chunk(b"IDAT", b"")))
    assert head.unpacked_bytes == sum(
        count * (1 + columns) for count, columns in ((1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8))
    )


def test_real_films_are_whole(shared_data: Path) -> None:
    films = sorted((shared_data / "films").rglob("*.png"))
    assert films
    for path in films:
        content = path.read_bytes()
        check_rows(content, read_head(content))


def test_too_few_rows_are_refused_whatever_colour_the_missing_ones_have() -> None:
    content = png(
        header(48, 40, colour=3),
        chunk(b"PLTE", bytes([255, 255, 255, 0, 0, 0, 90, 90, 90, 30, 30, 30])),
        chunk(b"IDAT", zlib.compress(rows(PIXELS[:20] % 4))),
    )
    with pytest.raises(FilmError, match="of 1,960 bytes of rows"):
        read_film(content)


def test_chunks_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zlib.compress(rows(PIXELS))
    pieces = [chunk(b"IDAT", packed[place : place + 20]) for place in range(0, len(packed), 20)]
    content = png(header(48, 40), *pieces)
    assert np.array_equal(read_film(content), PIXELS)
    monkeypatch.setattr("cxrscribe.films.png._MOST_CHUNKS", 50)
    with pytest.raises(FilmError, match="more than 50 chunks"):
        read_film(content)
