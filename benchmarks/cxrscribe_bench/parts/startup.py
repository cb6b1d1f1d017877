"""What the first report costs: seconds from the start of the process, and peak memory.

Fresh processes of each kind of start, in turn, so that a machine's load meets all of them, an empty Python
process among them.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import cxrscribe
from cxrscribe_bench.timing.memory import PEAK_KILOBYTES
from cxrscribe_bench.timing.worker import WorkerError

ROUNDS: Final = 9


class Start(StrEnum):
    """What the process finds."""

    EMPTY = "empty"
    """Nothing to do: `python -c pass`."""
    OFF = "off"
    """No cache."""
    COLD = "cold"
    """An empty cache, which it fills."""
    WARM = "warm"
    """A cache that an earlier process has filled."""


class Moment(StrEnum):
    """Up to where a process has come."""

    PYTHON = "python"
    """It runs; all that an empty process does."""
    IMPORT = "import"
    """`import cxrscribe` is done."""
    LOAD = "load"
    """The bundle is loaded."""
    REPORT = "report"
    """The first report is there."""


@dataclass(frozen=True)
class StartSample:
    """What one fresh process took up to one moment."""

    seconds: float
    """From when the process was asked for."""
    peak_bytes: int
    """Peak resident memory (VmHWM) by then."""


StartSamples: TypeAlias = Mapping[Start, Mapping[Moment, tuple[StartSample, ...]]]
"""Of each kind of start and each moment that it comes to: one sample a round."""


# Linux counts its monotonic clock from the same moment in all processes. Prints seconds and kilobytes of
# each moment, seconds first: reading the peak takes time too.
_MARK: Final = f"""
import sys, time
began = float(sys.argv[1])
{PEAK_KILOBYTES}
def mark():
    seconds = time.monotonic() - began
    print(seconds, peak_kilobytes())
"""
_EMPTY: Final = """
mark()
"""
_REPORT: Final = """
import cxrscribe
mark()
reporter = cxrscribe.load(sys.argv[2], device="cpu", cache=sys.argv[4] or False)
mark()
reporter.report(sys.argv[3])
mark()
"""
_MOMENTS: Final = {_EMPTY: (Moment.PYTHON,), _REPORT: (Moment.IMPORT, Moment.LOAD, Moment.REPORT)}


def sample_startup(bundle: Path, film: Path, rounds: int = ROUNDS) -> StartSamples:
    """Start a process of every kind `rounds` times, in turn.

    Raises BundleError when the bundle can't be opened, WorkerError when a process fails.
    """
    samples: dict[Start, dict[Moment, list[StartSample]]] = {start: {} for start in Start}
    with tempfile.TemporaryDirectory(prefix="cxrscribe-startup-") as folder:
        warm = Path(folder) / "warm"
        cxrscribe.load(bundle, device="cpu", cache=warm).close()
        for number in range(rounds):
            caches = {Start.OFF: "", Start.COLD: str(Path(folder) / f"cold-{number}"), Start.WARM: str(warm)}
            taken = {Start.EMPTY: _run(_EMPTY)} | {
                start: _run(_REPORT, str(bundle.resolve()), str(film.resolve()), cache)
                for start, cache in caches.items()
            }
            for start, moments in taken.items():
                for moment, sample in moments.items():
                    samples[start].setdefault(moment, []).append(sample)
    return {
        start: {moment: tuple(each) for moment, each in moments.items()} for start, moments in samples.items()
    }


def _run(code: str, *arguments: str) -> dict[Moment, StartSample]:
    """What one process took up to each moment."""
    command = [sys.executable, "-I", "-c", _MARK + code, str(time.monotonic()), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise WorkerError(f"a fresh process failed with exit code {process.returncode}: {process.stderr}")
    marks = (line.split() for line in process.stdout.splitlines())
    return {
        moment: StartSample(float(seconds), int(kilobytes) * 1024)
        for moment, (seconds, kilobytes) in zip(_MOMENTS[code], marks, strict=True)
    }
