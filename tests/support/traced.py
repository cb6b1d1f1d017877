"""Python programs in a process of their own, with an empty HOME, and with their system calls listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.skips import skip_or_fail

UNSET = {
    "CI",  # where it is set, some telemetry is off
    "CXRSCRIBE_CACHE",
    "MPLCONFIGDIR",
    "ORT_DISABLE_TELEMETRY",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
}


def run_at_home(home: Path, *arguments: object, tracer: tuple[object, ...] = ()) -> str:
    """Run this Python with these arguments, HOME being `home` and nothing else being said; its output."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    done = subprocess.run(
        [*map(str, tracer), sys.executable, *map(str, arguments)],
        env={**environment, "HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def opened_sockets(home: Path, log: Path, program: str) -> list[str]:
    """The calls of `socket` by a Python program and all its threads and children, native ones too."""
    strace = shutil.which("strace")
    if strace is None:
        skip_or_fail("no strace on this machine")
    run_at_home(home, "-c", program, tracer=(strace, "-f", "-qq", "-e", "trace=socket", "-o", log))
    return [line for line in log.read_text(encoding="utf-8").splitlines() if "socket(" in line]
