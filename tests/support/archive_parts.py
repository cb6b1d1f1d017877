"""Part files that are not what they say."""

from __future__ import annotations

import gzip

from cxrscribe.archive.rows.part import PartHeader, _write_jsonl


def bomb(header: PartHeader, size: int, content: bytes = b"0") -> bytes:
    """A part with this header, whose rows unpack to `size` bytes: `content` again and again."""
    start = _write_jsonl(header, [])
    extra = int.from_bytes(start[10:12], "little")  # RFC 1952, XLEN
    rows = gzip.compress(content * (size // len(content)), mtime=0)
    return start[: 12 + extra] + rows[10:]
