"""The structured reports of a shard: one plain tar, the same bytes for the same documents.

Members are called by their films' rows, `000000123.dcm`, and stand in their order. Nothing of a machine, a
user or a clock is in it. A shard without any document has a tar without members: no tar means not made yet.
"""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from cxrscribe.errors import InputError

_SUFFIX: Final = ".dcm"
# Where a member's header has its name and its size (POSIX, pax: ustar header block).
_NAME_BYTES: Final = 100
_SIZE: Final = 124
_SIZE_DIGITS: Final = 11
_MODE: Final = 0o600
"""Of files that are unpacked: they name patients."""


def member_name(row: int) -> str:
    """What the document of a film is called in its shard's tar."""
    return f"{row:09}{_SUFFIX}"


def pack(documents: Sequence[tuple[int, bytes]]) -> bytes:
    """The tar of these documents: each a film's row, and a whole file.

    Raises InputError unless the rows ascend.
    """
    rows = [row for row, _ in documents]
    if rows != sorted(set(rows)):
        raise InputError(f"documents have the rows {rows}; give each once, in order")
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row, content in documents:
            member = tarfile.TarInfo(member_name(row))
            member.size = len(content)
            member.mode = _MODE
            tar.addfile(member, BytesIO(content))
    return packed.getvalue()


def unpack(content: bytes, source: str) -> list[tuple[int, bytes]]:
    """What `pack` was given. `source` is what errors call the tar.

    Raises InputError unless `pack` makes exactly this tar: one that is cut off, has other members, or whose
    headers were changed. Of a document's own bytes a tar can't tell.
    """
    documents = []
    place = 0
    try:
        while content[place : place + 1] > b"\0":  # the end is zeros
            name = content[place : place + _NAME_BYTES].rstrip(b"\0").decode("ascii")
            begin = place + tarfile.BLOCKSIZE
            end = begin + _size(content[place + _SIZE : place + _SIZE + _SIZE_DIGITS])
            documents.append((_row(name), content[begin:end]))
            place = end + -end % tarfile.BLOCKSIZE
        is_ours = pack(documents) == content
    except (InputError, ValueError):
        is_ours = False
    if not is_ours:
        raise InputError(
            f"{source} is damaged, or no tar of structured reports; `cxrscribe score verify --drop-broken` "
            "puts it aside, and the same `cxrscribe score` makes it anew"
        )
    return documents


def _size(octal: bytes) -> int:
    """Raises ValueError for what is no size."""
    if not octal.isdigit():
        raise ValueError("no octal digits")
    return int(octal, 8)


def _row(name: str) -> int:
    """Raises ValueError for what no document is called."""
    return int(name.removesuffix(_SUFFIX))
