"""Reading films that are fine: every kind of PNG and JPEG, images and arrays."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxrscribe.errors import FilmError
from cxrscribe.films.film import film_name, read_film
from cxrscribe.films.rules import FilmRules

FULL = FilmRules(png_range="full")
GREY = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(depth: int, colour: int, rows: list[bytes], width: int, extra: bytes = b"") -> bytes:
    """A PNG written by hand, for the bit depths that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def test_8_bit_grey_png_comes_out_as_it_is() -> None:
    assert np.array_equal(read_film(encoded(Image.fromarray(GREY))), GREY)


def test_16_bit_grey_png_is_scaled_over_the_full_range() -> None:
    values = np.linspace(0, 65535, 20 * 30).round().astype(np.uint16).reshape(20, 30)
    film = read_film(encoded(Image.fromarray(values)), rules=FULL)
    assert film.dtype == np.uint8
    assert np.array_equal(film, np.rint(values / 257).astype(np.uint8))
    assert (film[0, 0], film[-1, -1]) == (0, 255)


def test_12_bits_in_a_16_bit_png_are_seen() -> None:
    values = np.linspace(100, 4095, 20 * 30).round().astype(np.uint16).reshape(20, 30)
    film = read_film(encoded(Image.fromarray(values)))
    assert np.array_equal(film, np.rint((values.astype(float) - 100) / 3995 * 255).astype(np.uint8))
    assert read_film(encoded(Image.fromarray(values)), rules=FULL).max() == 16


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_grey_png_of_few_bits_is_scaled_over_the_full_range(depth: int) -> None:
    levels = 1 << depth
    per_byte = 8 // depth
    values = np.arange(16 * 16).reshape(16, 16) % levels
    rows = []
    for row in values:
        packed = bytearray()
        for start in range(0, 16, per_byte):
            byte = 0
            for value in row[start : start + per_byte]:
                byte = byte << depth | int(value)
            packed.append(byte)
        rows.append(bytes(packed))
    film = read_film(raw_png(depth, 0, rows, 16))
    assert np.array_equal(film, values * 255 // (levels - 1))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_colour_png_keeps_its_range(channels: int) -> None:
    samples = np.zeros((16, 16, channels), dtype=">u2")
    samples[..., :3] = np.linspace(0, 65535, 16).round().astype(np.uint16)[:, None, None]
    samples[..., 3:] = 65535
    film = read_film(raw_png(16, {3: 2, 4: 6}[channels], [row.tobytes() for row in samples], 16))
    expected = np.repeat(np.linspace(0, 255, 16)[:, None], 16, axis=1)
    assert np.abs(film - expected).max() <= 1


def test_colour_becomes_luma() -> None:
    colours = np.zeros((16, 16, 3), dtype=np.uint8)
    colours[...] = (200, 100, 50)
    expected = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert np.all(read_film(encoded(Image.fromarray(colours))) == expected)
    assert np.all(read_film(colours) == expected)


def test_palette_is_looked_up() -> None:
    image = Image.new("P", (16, 16))
    image.putpalette([value for level in range(16) for value in (level * 17,) * 3])
    image.putdata([column for _ in range(16) for column in range(16)])
    assert np.array_equal(read_film(encoded(image)), np.tile(np.arange(16) * 17, (16, 1)))


def test_transparent_palette_entry_becomes_black() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 255, 255, 255, 128, 128, 128])
    image.paste(2, (0, 0, 8, 16))
    film = read_film(encoded(image, transparency=1))
    assert np.all(film[:, :8] == 128)
    assert np.all(film[:, 8:] == 0)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_laid_over_black(mode: str) -> None:
    image = Image.new("L", (16, 16), 200).convert(mode)
    image.putalpha(Image.linear_gradient("L").resize((16, 16)))
    alpha = np.asarray(image.getchannel("A")).astype(float)
    film = read_film(encoded(image))
    assert np.abs(film - 200 * alpha / 255).max() <= 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_transparent_colour_becomes_black(mode: str) -> None:
    image = Image.new("L", (16, 16), 90)
    image.paste(200, (0, 0, 8, 16))
    film = read_film(encoded(image.convert(mode), transparency=90 if mode == "L" else (90, 90, 90)))
    assert np.all(film[:, :8] == 200)
    assert np.all(film[:, 8:] == 0)


def test_transparent_16_bit_value_becomes_black() -> None:
    values = np.full((16, 16), 40000, dtype=">u2")
    values[:, 8:] = 50000
    extra = chunk(b"tRNS", struct.pack(">H", 50000))
    film = read_film(raw_png(16, 0, [row.tobytes() for row in values], 16, extra), rules=FULL)
    assert np.all(film[:, :8] == round(40000 / 257))
    assert np.all(film[:, 8:] == 0)


@pytest.mark.parametrize(
    ("depth", "byte", "transparent", "opaque"), [(2, 0b10_01_10_01, 2, 1), (4, 0b0101_1010, 5, 10)]
)
def test_transparent_value_of_few_bits_becomes_black(
    depth: int, byte: int, transparent: int, opaque: int
) -> None:
    rows = [bytes([byte]) * (16 * depth // 8)] * 16
    film = read_film(raw_png(depth, 0, rows, 16, chunk(b"tRNS", struct.pack(">H", transparent))))
    assert np.all(film[:, ::2] == 0)
    assert np.all(film[:, 1::2] == opaque * 255 // ((1 << depth) - 1))


@pytest.mark.parametrize("transparent", [0xC350, 0x0050])
def test_transparent_16_bit_colour_is_refused(transparent: int) -> None:
    """Pillow would compare its low byte with the high bytes of the pixels."""
    rows = [np.full((16, 3), 0x5000, ">u2").tobytes()] * 16
    extra = chunk(b"tRNS", struct.pack(">HHH", *[transparent] * 3))
    with pytest.raises(FilmError, match="16-bit colours, of which one is transparent"):
        read_film(raw_png(16, 2, rows, 16, extra))


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (4, 2), (6, 4)])
def test_of_16_bit_colour_and_alpha_the_high_bytes_count(colour: int, channels: int) -> None:
    samples = np.full((16, channels), 0x12FF, ">u2")
    if channels in (2, 4):
        samples[:, -1] = 0xFFFF
    assert np.all(read_film(raw_png(16, colour, [samples.tobytes()] * 16, 16)) == 0x12)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg(mode: str) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    film = read_film(encoded(Image.fromarray(smooth).convert(mode), "JPEG", quality=98))
    assert film.shape == (64, 48)
    assert np.abs(film.astype(int) - smooth).max() <= 4


def test_jpeg_is_decoded_at_a_reduced_size_not_below_the_hint() -> None:
    content = encoded(Image.new("RGB", (1600, 1200), (90, 90, 90)), "JPEG")
    assert read_film(content).shape == (1200, 1600)
    assert read_film(content, size_hint=(300, 300)).shape == (300, 400)
    assert read_film(content, size_hint=(100, 500)).shape == (600, 800)
    assert read_film(content, size_hint=(5000, 5000)).shape == (1200, 1600)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda film: film),
        (2, np.fliplr),
        (3, lambda film: np.rot90(film, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda film: np.rot90(film, -1)),
        (7, lambda film: np.rot90(film, 2).T),
        (8, np.rot90),
        (99, lambda film: film),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_honoured(orientation: int, turn: object, kind: str) -> None:
    stored = np.zeros((64, 96), dtype=np.uint8)
    stored[:16, :48] = 250
    exif = Image.Exif()
    exif[274] = orientation
    film = read_film(
        encoded(Image.fromarray(stored), kind, exif=exif, **({"quality": 98} if kind == "JPEG" else {}))
    )
    expected = turn(stored)  # type: ignore[operator]
    assert film.shape == expected.shape
    assert film.flags.c_contiguous
    assert np.abs(film.astype(int) - expected).max() <= 12


def test_path_bytes_image_and_array_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    Image.fromarray(GREY).save(path)
    content = path.read_bytes()
    image = Image.open(BytesIO(content))
    for source in (path, str(path), content, bytearray(content), memoryview(content), image, GREY):
        assert np.array_equal(read_film(source), GREY)


def test_name_of_a_film() -> None:
    named = [Path("a//film.png"), "film.png", b"abc", memoryview(GREY), GREY, Image.new("L", (16, 16))]
    assert [film_name(film) for film in named] == [
        "a/film.png",
        "film.png",
        "film of 3 bytes",
        "film of 600 bytes",
        "film array",
        "film of type Image",
    ]


def test_the_signature_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "film.jpg"
    path.write_bytes(encoded(Image.fromarray(GREY)))
    assert np.array_equal(read_film(path), GREY)


def test_16_bit_array_is_scaled() -> None:
    values = np.full((16, 20), 65535, dtype=np.uint16)
    assert np.all(read_film(values, rules=FULL) == 255)


def test_32_bit_image_within_16_bits_is_scaled() -> None:
    assert np.all(read_film(Image.new("I", (16, 16), 25700), rules=FULL) == 100)


def test_array_that_is_not_contiguous() -> None:
    colours = np.stack([GREY] * 3, axis=-1)[::-1, ::-1]
    assert np.array_equal(read_film(colours), GREY[::-1, ::-1])
    assert np.array_equal(read_film(GREY[::-1]), GREY[::-1])


def test_largest_film_is_read_without_a_warning() -> None:
    # Pillow's own limit, at which it warns, is lower.
    content = encoded(Image.new("1", (10_000, 10_000)))
    assert read_film(content).shape == (10_000, 10_000)


@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("iu/CXR1900_IM-0584-1001.png", 512, 512),
        ("iu/CXR54_IM-2145-1001.png", 362, 512),
        ("nih/00000013_027.png", 1024, 1024),
        ("covid/aspiration-pneumonia-5-day10.jpg", 2466, 2539),
        ("covid/covid-19-pneumonia-12.jpg", 1835, 2386),
        ("covid/covid-19-pneumonia-22-day1-l.png", 1395, 1205),
    ],
)
def test_real_films(shared_data: Path, name: str, height: int, width: int) -> None:
    film = read_film(shared_data / "films" / name)
    assert film.shape == (height, width)
    assert film.dtype == np.uint8
    assert film.std() > 30
