"""Films that can't be read: each is a FilmError that names the film and says why."""

from __future__ import annotations

import os
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxrscribe.errors import FilmError
from cxrscribe.films import film as film_module
from cxrscribe.films.film import check_size, read_film
from cxrscribe.films.levels import Picture


def encoded(size: tuple[int, int], kind: str = "PNG") -> bytes:
    content = BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    Image.fromarray(noise).save(content, kind)
    return content.getvalue()


def with_size(png: bytes, width: int, height: int) -> bytes:
    """The PNG with another size in its header, as a decompression bomb has it."""
    header = b"IHDR" + struct.pack(">II", width, height) + png[24:29]
    return png[:12] + header + struct.pack(">I", zlib.crc32(header)) + png[33:]


PNG = encoded((64, 64))
JPEG = encoded((64, 64), "JPEG")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.png", b"", "is empty"),
        ("notes.png", b"Heart size is normal.\n" * 20, "a text file"),
        ("noise.png", bytes(range(256)), "of an unknown format"),
        ("film.tif", b"II*\x00" + bytes(100), "a TIFF file"),
        ("film.gif", b"GIF89a" + bytes(100), "a GIF file"),
        ("film.bmp", b"BM" + bytes(100), "a BMP file"),
        ("film.pgm", b"P5\n2 2\n255\n" + bytes(4), "a PGM file"),
        ("notes.bmp", b"BMI 25, heart normal", "a text file"),
        ("notes.pgm", b"P5 is the plan.", "a text file"),
        ("notes.tex", b"\\begin{document} Heart", "a text file"),
        ("film.nii", struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(100), "a NIfTI file"),
        ("film.nii", struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(600), "a NIfTI file"),
        ("film.pdf", b"%PDF-1.7", "a PDF file"),
        ("films.zip", b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        ("truncated.png", PNG[: len(PNG) // 2], "damaged PNG file .*cut off"),
        ("truncated.jpg", JPEG[: len(JPEG) // 2], "damaged or truncated"),
        ("header.png", PNG[:20], "damaged PNG file .*cut off"),
        ("header.jpg", JPEG[:20], "damaged header"),
        ("small.png", encoded((64, 15)), "64 x 15 pixels, too small"),
        ("small.jpg", encoded((15, 64), "JPEG"), "15 x 64 pixels, too small"),
        ("long.png", with_size(PNG, 20_001, 16), "20001 x 16 pixels, too large"),
        ("bomb.png", with_size(PNG, 10_001, 10_000), "10001 x 10000 pixels, too large"),
        ("huge.png", with_size(PNG, 2**31 - 1, 2**31 - 1), "too large"),
        ("lies.png", with_size(PNG, 9_000, 9_000), "damaged or truncated"),
    ],
)
def test_bad_file_is_named_with_its_reason(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FilmError, match=message) as caught:
        read_film(path, size_hint=(32, 32))
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(FilmError, match=f"film of {len(content)} bytes: .*{message}"):
        read_film(content)


def test_broken_checksum_is_damage() -> None:
    broken = bytearray(PNG)
    broken[len(PNG) // 2] ^= 0xFF
    with pytest.raises(FilmError, match="damaged"):
        read_film(bytes(broken))


def test_missing_file() -> None:
    with pytest.raises(FilmError, match=r"none\.png: file does not exist"):
        read_film("none.png")


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match="is a folder"):
        read_film(tmp_path)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "film.png")
    with pytest.raises(FilmError, match="not a regular file"):
        read_film(tmp_path / "film.png")


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000 + ".png"])
def test_impossible_path(path: str) -> None:
    with pytest.raises(FilmError):
        read_film(path)


def test_file_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    with path.open("wb") as file:
        file.truncate(3 << 30)  # sparse: takes no room
    with pytest.raises(FilmError, match="more than any film"):
        read_film(path)


def test_animation() -> None:
    content = BytesIO()
    frames = [Image.new("L", (32, 32), level) for level in (0, 100)]
    frames[0].save(content, "PNG", save_all=True, append_images=frames[1:])
    with pytest.raises(FilmError, match="animation"):
        read_film(content.getvalue())


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((32, 32), dtype=np.float32),
        np.zeros((32, 32), dtype=np.int32),
        np.zeros((32, 32), dtype=bool),
        np.zeros((32, 32, 4), dtype=np.uint8),
        np.zeros((32, 32, 3), dtype=np.uint16),
        np.zeros((1, 32, 32), dtype=np.uint8),
        np.zeros(32, dtype=np.uint8),
        np.array(["film"]),
    ],
)
def test_array_of_unknown_meaning(values: np.ndarray) -> None:
    with pytest.raises(FilmError, match=r"film array: .*give uint8 \[h, w\]"):
        read_film(values)


@pytest.mark.parametrize("shape", [(15, 100), (100, 0), (16, 20_001)])
def test_array_of_a_wrong_size(shape: tuple[int, int]) -> None:
    with pytest.raises(FilmError, match=r"too (small|large)"):
        read_film(np.zeros(shape, dtype=np.uint8))


def test_image_of_unknown_range() -> None:
    with pytest.raises(FilmError, match="floating-point"):
        read_film(Image.new("F", (32, 32)))
    with pytest.raises(FilmError, match="outside 0 to 65535"):
        read_film(Image.new("I", (32, 32), 70_000))


def test_image_of_a_closed_file(tmp_path: Path) -> None:
    (tmp_path / "film.png").write_bytes(PNG)
    image = Image.open(tmp_path / "film.png")
    image.close()
    with pytest.raises(FilmError, match="film of type PngImageFile"):
        read_film(image)


def test_other_types() -> None:
    with pytest.raises(FilmError, match="type NoneType: is none of"):
        read_film(None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 20_000), (10_000, 10_000)])
def test_sizes_at_the_limits_are_read(height: int, width: int) -> None:
    check_size(height, width)


@settings(deadline=None)  # a busy machine is no failure
@given(cut=st.integers(0, len(JPEG) - 3), kind=st.sampled_from([PNG, JPEG]))
def test_truncated_anywhere_is_a_film_error_or_a_whole_film(cut: int, kind: bytes) -> None:
    # The last bytes hold no pixels: without them, a film may still be whole.
    try:
        film = read_film(kind[:cut])
    except FilmError:
        return
    assert np.array_equal(film, read_film(kind))


@settings(deadline=None)  # a busy machine is no failure
@given(place=st.integers(8, len(PNG) - 1), byte=st.integers(0, 255), kind=st.sampled_from([PNG, JPEG]))
def test_damage_never_raises_anything_but_a_film_error(place: int, byte: int, kind: bytes) -> None:
    damaged = bytearray(kind)
    damaged[place % len(kind)] = byte
    try:
        assert read_film(bytes(damaged)).ndim == 2
    except FilmError:
        return


def test_scans_are_those_of_the_picture() -> None:
    trailer = b"\xff\xda" * 500
    assert read_film(JPEG + trailer).shape == (64, 64)
    comment = b"\xff\xfe" + struct.pack(">H", len(trailer) + 2) + trailer
    assert read_film(JPEG[:2] + comment + JPEG[2:]).shape == (64, 64)
    content = BytesIO()
    Image.linear_gradient("L").save(content, "JPEG", progressive=True)
    passes = content.getvalue()
    there, last = passes.count(b"\xff\xda"), passes.rindex(b"\xff\xda")
    with pytest.raises(FilmError, match=f"is a JPEG of {there + 200} scans, and 100 are read"):
        read_film(passes[:-2] + passes[last:-2] * 200 + passes[-2:])


def test_a_file_that_is_no_film_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "archive.png").write_bytes(b"PK\x03\x04" + bytes(100_000))
    read: list[int] = []

    class Counting(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            read.append(size or 0)
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda path, _mode: Counting(path.read_bytes()))
    monkeypatch.setattr(Path, "read_bytes", lambda _: b"PK\x03\x04" + bytes(100_000))
    with pytest.raises(FilmError, match="a ZIP archive, not a film"):
        read_film(tmp_path / "archive.png")
    assert read == [4096]


def test_one_large_film_at_a_time_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxrscribe.films.limits.LARGE_PIXELS", 20 * 20)
    inside, most = [0], [0]
    grey = film_module._grey

    def counted(image: Image.Image, png_range: str) -> Picture:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.02)
        inside[0] -= 1
        return grey(image, png_range)

    monkeypatch.setattr(film_module, "_grey", counted)
    content = BytesIO()
    Image.fromarray(np.arange(30 * 20, dtype=np.uint16).astype(np.uint8).reshape(30, 20)).save(content, "PNG")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_film, [content.getvalue()] * 8))
    assert most == [1]
    monkeypatch.setattr("cxrscribe.films.limits.LARGE_PIXELS", 30 * 20)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read_film, [content.getvalue()] * 8))
    assert most[0] > 1
