"""Characters that change how other text is shown, or hide in it: refused in bundles, escaped elsewhere."""

from __future__ import annotations

from typing import Final

# Controls (C0, C1 and DEL: terminals obey them), formats (among them all that turns the direction of what
# follows), halves of surrogate pairs (which no encoding can write, and which stand for bytes of file names
# that are not UTF-8), separators of lines and paragraphs.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Words of Persian and of several languages of India are spelt with these two.
_JOINERS: Final = frozenset("\u200c\u200d")
_FIRST_BYTE: Final = 0xDC80
_LAST_BYTE: Final = 0xDCFF


def unprintable(text: str, allowed: str = "") -> str | None:
    """The first character of `text` that may not be there, as `U+001B`; None where there is none.

    `allowed`: controls that may, say a line's end.
    """
    if text.isprintable():  # stricter than what follows, and decides nearly always
        return None
    found = (each for each in text if _is_unsafe(each) and each not in allowed)
    return next((f"U+{ord(character):04X}" for character in found), None)


def printable(text: str) -> str:
    r"""`text` as one harmless line of a terminal or log, with an escape for each character that isn't safe.

    `\xNN` is an ASCII control character, or from 80 on a byte of a file name that is not UTF-8; `\uNNNN` and
    `\UNNNNNNNN` are other characters. What is printable already stays as it is, backslashes too, so that it
    doesn't matter how often a text comes through here.
    """
    if text.isprintable():
        return text
    return "".join(_escape(each) if _is_unsafe(each) else each for each in text)


def _is_unsafe(character: str) -> bool:
    from unicodedata import category

    return category(character) in _UNSAFE and character not in _JOINERS


def _escape(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
