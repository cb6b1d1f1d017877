"""Which processor this is, as far as it matters to a graph that was optimized for it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Final

_CPUINFO: Final = Path("/proc/cpuinfo")
_FIRST_BYTES: Final = 1 << 14
# Of x86 and of ARM. Frequencies and numbers of cores are no matter.
_FIELDS: Final = frozenset(
    {
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "flags",
        "CPU implementer",
        "CPU architecture",
        "CPU variant",
        "CPU part",
        "Features",
    }
)


@cache
def processor() -> str:
    """Model and instruction sets: what Linux says of the first processor, elsewhere what Python does."""
    return read_processor(_CPUINFO)


def read_processor(cpuinfo: Path) -> str:
    """As `processor`, from a file like /proc/cpuinfo, of which only the beginning is read."""
    try:
        # Linux writes this file anew for each reader, one processor after the other.
        with cpuinfo.open("rb", buffering=0) as stream:
            beginning = stream.read(_FIRST_BYTES).decode("utf-8", "replace")
    except OSError:
        import platform  # which takes longer to import than the rest of this takes

        return f"{platform.machine()}; {platform.processor()}"
    fields = [os.uname().machine]
    for line in beginning.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip() in _FIELDS:
            fields.append(f"{name.strip()} {' '.join(value.split())}")
    return "; ".join(fields)
