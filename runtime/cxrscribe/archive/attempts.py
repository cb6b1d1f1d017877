"""How often a shard has been begun: one empty file each time, made before its first film is read.

Who dies over a film leaves the file behind. So the third to begin a shard knows that two have died over it,
or that the machine did, twice; it scores the shard in processes of their own to find out.
"""

from __future__ import annotations

from typing import Final

from cxrscribe.archive import layout
from cxrscribe.archive.generation import Generation

ISOLATED_FROM: Final = 3
"""The attempt from which on a shard is scored in processes of their own."""


def begin_attempt(generation: Generation, shard: int) -> int:
    """Say that a shard is begun; the how manieth time this is, from 1."""
    attempt = 1
    while not generation.place.create(layout.attempt_file(generation.number, shard, attempt), b""):
        attempt += 1
    return attempt


def take_back_attempt(generation: Generation, shard: int, attempt: int) -> None:
    """Forget an attempt that ended in good order, though not with a part: nobody died over its films."""
    generation.place.remove(layout.attempt_file(generation.number, shard, attempt))
