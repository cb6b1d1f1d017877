"""Flips bits of the demo bundle's manifest, and counts what comes of it.

    python tests/attacks/flips.py [N]

N flips at random places, or every bit of every byte without N. A flip is refused, without effect (the same
manifest is read), a change (another one is), or a crash (an error that isn't cxrscribe's).
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import BundleError

REFUSED, WITHOUT_EFFECT, CHANGE, CRASH = "refused", "without effect", "change", "crash"


def outcome(folder: Path, content: bytes, original: Manifest) -> str:
    """What becomes of a manifest with this content, which is written into `folder`."""
    (folder / MANIFEST_NAME).write_bytes(content)
    try:
        found = Manifest.read(folder)
    except BundleError:
        return REFUSED
    except Exception:
        return CRASH
    return WITHOUT_EFFECT if found == original else CHANGE


def flipped(content: bytes, bit: int) -> bytes:
    """`content` with another bit number `bit`."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _bits(content: bytes, count: int | None) -> Iterator[int]:
    bits = range(8 * len(content))
    yield from bits if count is None else random.Random(0).sample(bits, count)


def main(count: int | None) -> None:
    """Print how often each outcome came."""
    original = Manifest.read(demo_bundle())
    content = (demo_bundle() / MANIFEST_NAME).read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        found = Counter(
            outcome(Path(folder), flipped(content, bit), original) for bit in _bits(content, count)
        )
    total = sum(found.values())
    for name in (REFUSED, WITHOUT_EFFECT, CHANGE, CRASH):
        print(f"{name:15} {found[name]:7} {found[name] / total:8.3%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else None)
