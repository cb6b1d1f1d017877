"""Damage to films: bits, bytes, lengths, pieces, and the structure of PNG, JPEG and DICOM."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytearray, Random], bytearray]

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(content: bytes, random: Random) -> bytes:
    """`content` with one to four damages; PNG chunks are mostly given right checksums again."""
    film = bytearray(content)
    for _ in range(1 + int(random.integers(4) * random.integers(2))):
        film = MUTATIONS[random.integers(len(MUTATIONS))](film, random)
        if not film:
            break
    if film.startswith(b"\x89PNG") and random.random() < 0.8:
        _mend_checksums(film)
    return bytes(film)


def _place(film: bytearray, random: Random) -> int:
    """Somewhere, and in half of all cases near the beginning, where most of the structure is."""
    most = len(film) if random.random() < 0.5 else min(len(film), 800)
    return int(random.integers(max(most, 1)))


def flip_a_bit(film: bytearray, random: Random) -> bytearray:
    film[_place(film, random)] ^= 1 << int(random.integers(8))
    return film


def set_a_byte(film: bytearray, random: Random) -> bytearray:
    film[_place(film, random)] = int(random.integers(256))
    return film


def write_an_extreme(film: bytearray, random: Random) -> bytearray:
    """A number such as lengths are, in either order of bytes."""
    size = int(random.choice([1, 2, 4]))
    number = int(random.choice(_EXTREMES)) & ((1 << 8 * size) - 1)
    place = _place(film, random)
    order = "little" if random.random() < 0.5 else "big"
    film[place : place + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
    return film


def cut_off(film: bytearray, random: Random) -> bytearray:
    return film[: _place(film, random)]


def cut_out(film: bytearray, random: Random) -> bytearray:
    place = _place(film, random)
    del film[place : place + int(random.integers(1, 64))]
    return film


def repeat(film: bytearray, random: Random) -> bytearray:
    place = _place(film, random)
    piece = film[place : place + int(random.integers(1, 200))]
    film[place:place] = piece * int(random.choice([1, 2, 50]))
    return film


def move(film: bytearray, random: Random) -> bytearray:
    place, to = _place(film, random), _place(film, random)
    length = int(random.integers(1, 64))
    piece = film[place : place + length]
    film[to : to + length] = piece
    return film


def noise(film: bytearray, random: Random) -> bytearray:
    place = _place(film, random)
    film[place : place + 16] = random.bytes(16)
    return film


def change_a_marker(film: bytearray, random: Random) -> bytearray:
    """The byte behind some FF: a marker of JPEG, JPEG-LS and JPEG 2000."""
    places = [place for place in range(len(film) - 1) if film[place] == 0xFF]
    if places:
        film[int(random.choice(places)) + 1] = int(random.integers(256))
    return film


def change_an_attribute(film: bytearray, random: Random) -> bytearray:
    """The value or length of one of DICOM's attributes of the picture, group 28."""
    places = [place for place in range(len(film) - 10) if film[place : place + 2] == b"\x28\x00"]
    if places:
        place = int(random.choice(places)) + int(random.choice([2, 4, 6, 8]))
        film[place : place + 2] = struct.pack("<H", int(random.choice(_EXTREMES)) & 0xFFFF)
    return film


MUTATIONS: tuple[Mutation, ...] = (
    flip_a_bit,
    set_a_byte,
    write_an_extreme,
    cut_off,
    cut_out,
    repeat,
    move,
    noise,
    change_a_marker,
    change_an_attribute,
)


def _mend_checksums(film: bytearray) -> None:
    place = 8
    while place + 12 <= len(film):
        (length,) = struct.unpack_from(">I", film, place)
        end = place + 8 + length
        if end + 4 > len(film):
            return
        struct.pack_into(">I", film, end, zlib.crc32(film[place + 4 : end]))
        place = end + 4
