"""Characters that no text of a bundle has: they would change how other text is shown, or hide in it."""

from __future__ import annotations

from typing import Final

# Controls (C0, C1 and DEL: terminals obey them), formats (among them all that turns the direction of what
# follows), halves of surrogate pairs (which no encoding can write), separators of lines and paragraphs.
_REFUSED: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Words of Persian and of several languages of India are spelt with these two.
_JOINERS: Final = frozenset("\u200c\u200d")


def unprintable(text: str, allowed: str = "") -> str | None:
    """The first character of `text` that may not be there, as `U+001B`; None where there is none.

    `allowed`: controls that may, say a line's end.
    """
    if text.isprintable():  # stricter than what follows, and decides nearly always
        return None
    found = (each for each in text if _is_refused(each) and each not in allowed)
    return next((f"U+{ord(character):04X}" for character in found), None)


def shown(text: str) -> str:
    """`text` with a backslash and a number for each of these: names of files, say, that anybody chose."""
    return "".join(ascii(each)[1:-1] if _is_refused(each) else each for each in text)


def _is_refused(character: str) -> bool:
    from unicodedata import category

    return category(character) in _REFUSED and character not in _JOINERS
