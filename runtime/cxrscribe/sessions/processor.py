"""The processor that this process runs on: what it is, and how many of its threads may be kept busy."""

from __future__ import annotations

import math
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


_NAME_FIELDS: Final = ("model name", "CPU implementer", "CPU part")
_FLAG_FIELDS: Final = ("flags", "Features")  # of x86, of ARM


def processor_name() -> str:
    """What a person calls it: `AMD EPYC 9R14`; `unknown` where nobody says."""
    return name_and_flags(processor())[0] or "unknown"


def name_and_flags(description: str) -> tuple[str | None, list[str] | None]:
    """Name and instruction sets from what `processor` says; None for what it doesn't."""
    values = {
        field: part.removeprefix(f"{field} ")
        for part in description.split("; ")
        for field in (*_NAME_FIELDS, *_FLAG_FIELDS)
        if part.startswith(f"{field} ")
    }
    flags = next((values[field].split() for field in _FLAG_FIELDS if field in values), None)
    if "model name" in values:
        return values["model name"], flags
    import platform  # which takes longer to import than the rest of this takes

    arm = [f"{field} {values[field]}" for field in _NAME_FIELDS if field in values]
    return ", ".join(arm) or platform.processor() or platform.machine() or None, flags


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
