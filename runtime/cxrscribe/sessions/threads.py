"""How many threads this process may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


def usable_threads(root: Path = _CGROUP, own: Path = _OWN_CGROUP) -> int:
    """Processors that the process may use: its affinity mask, less where its control group has a quota.

    onnxruntime itself counts the host's processors, and so starts too many threads in a container
    (onnxruntime issue 29510). `root` is where control groups are mounted, `own` says which is the process'.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _cgroup_share(root, own)
    return max(1, allowed if share is None else min(allowed, math.ceil(share)))


def _cgroup_share(root: Path, own: Path) -> float | None:
    """Processors that the quotas of the process' control group and of those above it leave; None for all."""
    shares = [share for folder in _folders(root, own) if (share := _quota(folder)) is not None]
    return min(shares, default=None)


def _folders(root: Path, own: Path) -> list[Path]:
    """The folders of the process' control groups, version 2 and 1, each with all above it."""
    folders = [root, root / "cpu"]
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        base = root if controllers == "" else root / "cpu"
        if controllers == "" or "cpu" in controllers.split(","):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            folders += [base.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]
    return folders


def _quota(folder: Path) -> float | None:
    """`cpu.max` (version 2: quota and period, or `max`) or `cpu.cfs_quota_us` (version 1: -1 for none)."""
    words = _read(folder / "cpu.max").split()
    if not words:
        words = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
