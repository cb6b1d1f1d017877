"""What the first report costs: seconds from the start of the process, and peak memory.

    python -m cxrscribe_bench.parts.startup BUNDLE [--film FILM] [--rounds N] [--json]

Each figure is the median of fresh processes. The kinds of start take turns, so that a machine's load meets
all of them, and are held against an empty Python process and the size of the model, measured in the same run.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import click

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
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


@dataclass(frozen=True)
class StartCost:
    """Medians of one kind of start. Seconds count from when the process was asked for."""

    start: Start
    import_seconds: float
    """Until `import cxrscribe` is done; for an empty process, until it runs."""
    load_seconds: float
    """Until the bundle is loaded."""
    report_seconds: float
    """Until the first report is there."""
    peak_megabytes: float
    """Peak resident memory (VmHWM), in 10^6 bytes."""


@dataclass(frozen=True)
class StartupRecord:
    """All kinds of start, of one bundle on this machine."""

    bundle: str
    model_megabytes: float
    """Of the files of the graphs that were opened, in 10^6 bytes."""
    rounds: int
    costs: tuple[StartCost, ...]

    def cost(self, start: Start) -> StartCost:
        """Of one kind."""
        return next(cost for cost in self.costs if cost.start is start)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, and of each kind its time over that of an empty process' and its memory
        beyond the model's size.
        """
        costs = [
            {
                **asdict(cost),
                "times_empty": self.times_empty(cost),
                "megabytes_beyond_model": self.megabytes_beyond_model(cost),
            }
            for cost in self.costs
        ]
        return {**asdict(self), "costs": costs}

    def times_empty(self, cost: StartCost) -> float:
        """First report over the start of an empty process."""
        return cost.report_seconds / self.cost(Start.EMPTY).report_seconds

    def megabytes_beyond_model(self, cost: StartCost) -> float:
        """Peak memory less the bytes of the model."""
        return cost.peak_megabytes - self.model_megabytes


# Linux counts its monotonic clock from the same moment in all processes. Prints seconds and kilobytes of
# each moment, seconds first: reading the peak takes time too.
_MARK: Final = """
import sys, time
began = float(sys.argv[1])
def mark():
    seconds = time.monotonic() - began
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    print(seconds, peak)
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


def measure_startup(bundle: Path, film: Path, rounds: int = ROUNDS) -> StartupRecord:
    """Measure all kinds of start, `rounds` times each in turn.

    Raises:
        BundleError: the bundle can't be opened.
        WorkerError: a process failed.
    """
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        graphs = [placement.graph for placement in reporter.placement]
    samples = sample_startup(bundle, film, rounds)
    costs = tuple(_cost(start, samples[start]) for start in Start)
    return StartupRecord(str(bundle), _model_bytes(bundle, graphs) / 1e6, rounds, costs)


def sample_startup(bundle: Path, film: Path, rounds: int = ROUNDS) -> StartSamples:
    """Every sample of what `measure_startup` gives medians of. Raises as that does."""
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


def _cost(start: Start, samples: Mapping[Moment, Sequence[StartSample]]) -> StartCost:
    """Medians; an empty process comes to all moments at once."""
    seconds = {
        moment: statistics.median(sample.seconds for sample in each) for moment, each in samples.items()
    }
    imported, loaded, reported = (
        seconds.get(moment, seconds.get(Moment.PYTHON, 0.0))
        for moment in (Moment.IMPORT, Moment.LOAD, Moment.REPORT)
    )
    last = samples.get(Moment.REPORT) or samples[Moment.PYTHON]
    peak = statistics.median(sample.peak_bytes for sample in last)
    return StartCost(start, imported, loaded, reported, peak / 1e6)


def _model_bytes(bundle: Path, graphs: Sequence[str]) -> int:
    """Bytes of these graphs, which are called by their paths in the bundle, with their external data."""
    opened = Bundle.open(bundle, verify=False)
    size = 0
    for path in graphs:
        entry = opened.manifest.entry(path)
        assert entry is not None, f"{path} was opened, so it is in the manifest"
        name = path.rpartition("/")[2]
        size += sum(file.entry.bytes for file in opened.graph_files(name, entry.precision))
    return size


def table(record: StartupRecord) -> str:
    """The record for people."""
    lines = [
        f"bundle {record.bundle}, model {record.model_megabytes:.1f} MB, median of {record.rounds} processes",
        f"{'':8}{'import':>9}{'load':>9}{'report':>9}{'x empty':>9}{'peak':>11}{'beyond model':>15}",
    ]
    for cost in record.costs:
        seconds = (cost.import_seconds, cost.load_seconds, cost.report_seconds)
        beyond = "" if cost.start is Start.EMPTY else f"{record.megabytes_beyond_model(cost):+12.1f} MB"
        lines.append(
            f"{cost.start.value:8}{''.join(f'{value:7.3f} s' for value in seconds)}"
            f"{record.times_empty(cost):9.1f}{cost.peak_megabytes:8.1f} MB{beyond}"
        )
    return "\n".join(lines)


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path), required=False)
@click.option(
    "--film", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="What to report on."
)
@click.option("--rounds", type=click.IntRange(min=1), default=ROUNDS, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(bundle: Path | None, film: Path | None, rounds: int, as_json: bool) -> None:
    """Print what the first report of BUNDLE costs in a fresh process; without BUNDLE, of the demo bundle."""
    record = measure_startup(bundle or cxrscribe.demo_bundle(), film or cxrscribe.demo_films()[0], rounds)
    click.echo(json.dumps(record.to_json(), indent=1) if as_json else table(record))


if __name__ == "__main__":
    main()
