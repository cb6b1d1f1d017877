"""DICOM files in explicit VR little endian, written and read element by element (PS3.5, 7.1; PS3.10, 7.1).

A structured report has two hundred elements, nearly all of which are the same for a million films. Here they
are put together as bytes, which takes a fiftieth of what pydicom takes to build and check them one by one;
tests have pydicom and two other programs read them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"

_LONG: Final = frozenset({b"OB", b"SQ", b"UT"})
"""Of the kinds that are written here, those whose length has four bytes."""
_MOST_SHORT: Final = 0xFFFE
_PADDED_WITH_ZERO: Final = frozenset({b"UI", b"OB"})
_ITEM: Final = struct.pack("<HH", 0xFFFE, 0xE000)
_PREAMBLE: Final = bytes(128) + b"DICM"
_META_LENGTH: Final = 0x0002_0000
_META_START: Final = len(_PREAMBLE)


def element(tag: int, kind: str, value: str | bytes = b"") -> bytes:
    """An element: `tag` as 0xGGGGEEEE, `kind` its value representation; text is written in UTF-8.

    Raises ValueError where the value is longer than its length can say.
    """
    content = value.encode("utf-8") if isinstance(value, str) else value
    vr = kind.encode("ascii")
    if len(content) % 2:
        content += b"\0" if vr in _PADDED_WITH_ZERO else b" "
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    if vr in _LONG:
        return head + struct.pack("<HI", 0, len(content)) + content
    if len(content) > _MOST_SHORT:
        raise ValueError(f"element {tag:08X} has {len(content)} bytes")
    return head + struct.pack("<H", len(content)) + content


def sequence(tag: int, items: Iterable[bytes] = ()) -> bytes:
    """A sequence; each item is its elements, by rising tag."""
    return element(tag, "SQ", b"".join(_ITEM + struct.pack("<I", len(item)) + item for item in items))


def file(sop_class: str, sop_instance: str, implementation: str, version: str, dataset: bytes) -> bytes:
    """A whole file. No clock, no machine: `implementation` and `version` say which program wrote it."""
    meta = b"".join(
        (
            element(0x0002_0001, "OB", b"\0\1"),
            element(0x0002_0002, "UI", sop_class),
            element(0x0002_0003, "UI", sop_instance),
            element(0x0002_0010, "UI", EXPLICIT_LITTLE_ENDIAN),
            element(0x0002_0012, "UI", implementation),
            element(0x0002_0013, "SH", version),
        )
    )
    return _PREAMBLE + element(_META_LENGTH, "UL", struct.pack("<I", len(meta))) + meta + dataset


class Element(NamedTuple):
    """An element that was read."""

    tag: int
    kind: str
    value: bytes
    """Padding included."""

    @property
    def text(self) -> str:
        """Its value as text. Raises ValueError where that isn't UTF-8."""
        return self.value.rstrip(b"\0 ").decode("utf-8")

    def items(self) -> Iterator[bytes]:
        """Of a sequence: its items' elements. Raises ValueError where they aren't what `sequence` writes."""
        place = 0
        while place < len(self.value):
            if self.value[place : place + 4] != _ITEM:
                raise ValueError("a sequence has something else than items")
            begin = place + 8
            place = begin + int.from_bytes(self.value[place + 4 : begin], "little")
            if place > len(self.value):
                raise ValueError("an item is cut off")
            yield self.value[begin:place]


def elements(content: bytes) -> Iterator[Element]:
    """The elements of a dataset or an item, by rising tag.

    Raises ValueError where they aren't what `element` writes.
    """
    place, last = 0, -1
    while place < len(content):
        try:
            group, number, vr, short = struct.unpack_from("<HH2sH", content, place)
            begin, length = place + 8, short
            if vr in _LONG:
                begin, (length,) = place + 12, struct.unpack_from("<I", content, place + 8)
        except struct.error:
            raise ValueError("an element is cut off") from None
        tag, place = group << 16 | number, begin + length
        if tag <= last or place > len(content):
            raise ValueError(f"element {tag:08X} is cut off, or out of order")
        yield Element(tag, vr.decode("latin-1"), content[begin:place])
        last = tag


def dataset_of(content: bytes) -> bytes:
    """What stands behind the file meta information of a file that `file` wrote. Raises ValueError."""
    first = next(elements(content[_META_START : _META_START + 12]), None)
    if not content.startswith(_PREAMBLE) or first is None or first.tag != _META_LENGTH:
        raise ValueError("it doesn't begin as a DICOM file of this program does")
    return content[_META_START + 12 + int.from_bytes(first.value, "little") :]
