"""Memory of this process that is in RAM, as Linux tells it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
_RESET_PEAK: Final = "5"  # see proc(5)


PEAK_KILOBYTES: Final = """
def peak_kilobytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
"""
"""The most that was in RAM since the start, for programs (`python -c`) that import nothing of ours."""


def resident_bytes() -> int:
    """What is in RAM now; 0 where the system doesn't tell."""
    return _kilobytes("VmRSS:") * 1024


def peak_bytes() -> int:
    """The most that was in RAM since the start or the last `reset_peak`; 0 where the system doesn't tell."""
    return _kilobytes("VmHWM:") * 1024


def reset_peak() -> None:
    """Let `peak_bytes` begin anew at what is in RAM now; where that isn't allowed, nothing happens."""
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")


def _kilobytes(field: str) -> int:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)
