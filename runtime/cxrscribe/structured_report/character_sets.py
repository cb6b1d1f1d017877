"""Text of DICOM attributes as characters, for all character sets of the standard (PS3.3, C.12.1.1.2).

Strict: a value with one byte that its character set doesn't have is none. Readers that show something in its
place would have it stand in a second document as if it were the patient's name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Final

_WHOLE: Final = {
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
"""Character sets without code extensions, by the defined terms of SpecificCharacterSet."""
_RIGHT: Final = {
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "166": "tis_620",
    "13": "shift_jis",
    "6": None,
    "": None,
}
"""What bytes from 80 on are at the beginning of a value, by the number of the first term."""
_TERM: Final = re.compile(r"ISO[_ -](?:2022[_ -])?IR[_ -]([0-9]+)")
"""A term, also as many devices misspell it."""

# Escapes (PS3.3, tables C.12-3 and C.12-4) to what bytes below 80 are from there on, ASCII where it is None,
# and to what those from 80 on are.
_LEFT_ESCAPES: Final[dict[bytes, str | None]] = {
    b"(B": None,
    b"(J": None,  # JIS X 0201: ASCII but for the signs of yen and overline, which every reader takes as ASCII
    b"$B": "jisx0208",
    b"$(D": "jisx0212",
}
_RIGHT_ESCAPES: Final = {
    b"-A": "iso8859_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-L": "iso8859_5",
    b"-G": "iso8859_6",
    b"-F": "iso8859_7",
    b"-H": "iso8859_8",
    b"-M": "iso8859_9",
    b"-b": "iso8859_15",
    b"-T": "tis_620",
    b")I": "shift_jis",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
}
_ESCAPES: Final[dict[str, tuple[bytes, ...]]] = {
    "100": (b"-A",),
    "101": (b"-B",),
    "109": (b"-C",),
    "110": (b"-D",),
    "144": (b"-L",),
    "127": (b"-G",),
    "126": (b"-F",),
    "138": (b"-H",),
    "148": (b"-M",),
    "203": (b"-b",),
    "166": (b"-T",),
    "13": (b")I", b"(J"),
    "87": (b"$B", b"(J"),
    "159": (b"$(D", b"(J"),
    "149": (b"$)C",),
    "58": (b"$)A",),
}
"""Those that a term brings, by its number. A film that has others is not read as if it had the term."""
_ASCII: Final = b"(B"
_PAIRED: Final = frozenset({"euc_kr", "gb2312"})
_ESCAPE: Final = 0x1B
_LONGEST_ESCAPE: Final = 3
_DELIMITERS: Final = frozenset(b"\\^=\r\n\f\t")
"""At these a value is back to what it began with (PS3.5, 6.1.2.5.3)."""


def decoded(value: bytes, terms: Sequence[str]) -> str | None:
    """The characters of a value; `terms`: the values of SpecificCharacterSet, none for ASCII.

    None where there is a byte that isn't any of theirs, or a term that isn't known.
    """
    if value.isascii() and _ESCAPE not in value:  # all of them have these
        return value.decode("ascii")
    try:
        if len(terms) == 1 and terms[0] in _WHOLE:
            return value.decode(_WHOLE[terms[0]])
        first, *others = [_number(term) for term in terms] or [""]
        if first not in _RIGHT:  # only escapes reach it: it stands behind ASCII
            first, others = "6", [first, *others]
        if not all(number in _RIGHT or number in _ESCAPES for number in others):
            return None
        escapes = frozenset(sign for number in (first, *others) for sign in _ESCAPES.get(number, ()))
        return _Decoder(_RIGHT[first], escapes | {_ASCII}).characters(value)
    except (UnicodeDecodeError, LookupError, _UnknownTermError):
        return None


class _UnknownTermError(Exception):
    """A character set that the standard doesn't have, or a byte or escape that stands for nothing."""


def _number(term: str) -> str:
    found = _TERM.fullmatch(term)
    if found is None and term:
        raise _UnknownTermError
    return found[1] if found else ""


@dataclass
class _Decoder:
    """One value, byte by byte."""

    first: str | None
    """What bytes from 80 on are at its beginning."""
    escapes: Set[bytes]
    """Those that it may have."""

    def characters(self, value: bytes) -> str:
        found: list[str] = []
        left: str | None = None
        right = self.first
        place = entered = 0
        while place < len(value):
            byte = value[place]
            if byte == _ESCAPE:
                sign = self._escape(value[place + 1 : place + 1 + _LONGEST_ESCAPE])
                if sign in _LEFT_ESCAPES:
                    left, entered = _LEFT_ESCAPES[sign], place
                else:
                    right = _RIGHT_ESCAPES[sign]
                place += 1 + len(sign)
                continue
            is_left = byte < 0x80
            size = 1
            # Controls and space are no halves of characters.
            if (is_left and left is not None and byte > 0x20) or (not is_left and right in _PAIRED):
                size = 2
            taken = value[place : place + size]
            if len(taken) < size:
                raise _UnknownTermError
            if is_left:
                found.append(_left(taken, left if size == 2 else None))
                if size == 1 and byte in _DELIMITERS:
                    left, right = None, self.first
            elif right is None:
                raise _UnknownTermError
            else:
                found.append(taken.decode(right))
            place += size
        # The last set is to be left again; else a delimiter there may be one, or half of a character.
        if left is not None and not _DELIMITERS.isdisjoint(value[entered:]):
            raise _UnknownTermError
        return "".join(found)

    def _escape(self, following: bytes) -> bytes:
        """The escape that these bytes begin with. Raises _UnknownTermError."""
        for size in range(2, _LONGEST_ESCAPE + 1):
            if following[:size] in self.escapes:
                return following[:size]
        raise _UnknownTermError


def _left(taken: bytes, coded: str | None) -> str:
    if coded is None:
        return taken.decode("ascii")
    shifted = bytes(byte | 0x80 for byte in taken)
    return (shifted if coded == "jisx0208" else b"\x8f" + shifted).decode("euc_jp")
