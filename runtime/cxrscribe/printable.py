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
    from unicodedata import category

    return next(
        (
            f"U+{ord(character):04X}"
            for character in text
            if category(character) in _REFUSED and character not in _JOINERS and character not in allowed
        ),
        None,
    )
