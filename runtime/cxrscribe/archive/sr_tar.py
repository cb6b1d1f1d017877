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
    try:
        with tarfile.open(fileobj=BytesIO(content), mode="r:") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isreg() else None
                if file is not None:
                    documents.append((_row(member.name), file.read()))
        is_ours = pack(documents) == content
    except (tarfile.TarError, EOFError, InputError, ValueError, OverflowError):
        is_ours = False
    if not is_ours:
        raise InputError(
            f"{source} is damaged, or no tar of structured reports; `cxrscribe score verify --drop-broken` "
            "puts it aside, and the same `cxrscribe score` makes it anew"
        )
    return documents


def _row(name: str) -> int:
    """Raises ValueError for what no document is called."""
    return int(name.removesuffix(_SUFFIX))
