"""Text of unknown origin, names of films and words of bundles, as one harmless line of a terminal or log."""

from __future__ import annotations

import re
from typing import Final

# C0, DEL and C1; what reverses the direction of text, can't be seen, or ends a line; and lone surrogates,
# which stand for bytes of file names that are not UTF-8 and can't be encoded. The joiners U+200C and U+200D
# stay: words of some languages need them.
_UNSAFE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
_FIRST_BYTE: Final = 0xDC80
_LAST_BYTE: Final = 0xDCFF


def printable(text: str) -> str:
    r"""`text`, with an escape for what would steer a terminal, forge a line, or can't be encoded.

    `\xNN` is an ASCII control character, or from 80 on a byte of a file name that is not UTF-8; `\uNNNN` and
    `\UNNNNNNNN` are other characters. What is printable already stays as it is, backslashes too, so that it
    doesn't matter how often a text comes through here.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
