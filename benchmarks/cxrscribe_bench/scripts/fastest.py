"""Whether `fastest` is the fastest: `python -m cxrscribe_bench.scripts.fastest [BUNDLE]... [--threads N]`.

The choice is made as `cxrscribe tune --any-words` makes it, and then held against a full measurement: every
device and precision that runs each bundle here, whole reports through the public API, of one film by itself
and of many, in turn, in many rounds. Reports have the same length everywhere, for other words would be
another amount of work. Without a bundle it is the demo's and the benchmark model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import click
import numpy as np

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.embedded import demo_bundle
from cxrscribe.errors import CxrscribeError, DeviceError
from cxrscribe.reporter import Reporter
from cxrscribe.sessions.cache import open_cache
from cxrscribe.sessions.cache_folder import default_folder
from cxrscribe.sessions.device import AUTO, processor_name
from cxrscribe.sessions.factory import thread_count
from cxrscribe.settings import BeamSettings
from cxrscribe.tuning.candidates import Candidate
from cxrscribe.tuning.choice import Chooser
from cxrscribe.tuning.trial import WORDS, Conditions
from cxrscribe_bench.material.model import default_folder as model_folder
from cxrscribe_bench.material.model import model_at
from cxrscribe_export.precision.speed import seconds_in_turn

MANY: Final = 32
"""Films that are reported on together."""


@dataclass(frozen=True)
class Measured:
    """One candidate, measured in full."""

    candidate: str
    alone_ms: float
    together_ms: float
    times_the_best: float
    """Its cost over the least of all, by the geometric mean of alone and together."""


@dataclass(frozen=True)
class Verdict:
    """What became of one bundle."""

    bundle: str
    threads: int
    chosen: str
    trial_seconds: float
    times_the_best: float
    """Of the one that was chosen."""
    all: tuple[Measured, ...]
    problems: Mapping[str, str]
    """Why others were not measured, by candidate."""


@click.command()
@click.argument("bundles", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--threads", type=click.IntRange(min=1), help="[default: those it may use]")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Of the full measurement; medians count.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(bundles: tuple[Path, ...], threads: int | None, rounds: int, as_json: bool) -> None:
    """Choose the fastest by a short trial, measure everything in full, and say how far they are apart."""
    several = bundles or (demo_bundle(), model_at(model_folder()).bundle)
    verdicts = [verdict_of(bundle, thread_count(threads), rounds) for bundle in several]
    if as_json:
        record = {"processor": processor_name(), "verdicts": [asdict(verdict) for verdict in verdicts]}
        click.echo(json.dumps(record, indent=1))
        return
    click.echo(processor_name())
    for verdict in verdicts:
        click.echo("\n".join(_lines(verdict)))


def verdict_of(path: Path, threads: int, rounds: int) -> Verdict:
    """Try, then measure in full. Raises DeviceError if what was chosen doesn't run."""
    cache = open_cache(True, default_folder())
    conditions = Conditions(threads, spinning=True, strict=False, cache=cache)
    chooser = Chooser(Bundle.open(path), AUTO, conditions, any_words=True)
    begun = perf_counter()
    chosen = chooser.choose().candidate
    seconds = perf_counter() - begun
    found, problems = measured(path, chooser.all(), threads, rounds)
    own = next((each for each in found if each.candidate == str(chosen)), None)
    if own is None:
        raise DeviceError(f"{chosen} was chosen and doesn't run: {problems.get(str(chosen), 'it is gone')}")
    return Verdict(str(path), threads, str(chosen), seconds, own.times_the_best, tuple(found), problems)


def measured(
    path: Path, candidates: Sequence[Candidate], threads: int, rounds: int
) -> tuple[list[Measured], dict[str, str]]:
    """Times of whole reports, all that run in turn, the best one first; and why others don't run."""
    runs: dict[str, tuple[_Run, _Run]] = {}
    problems: dict[str, str] = {}
    with ExitStack() as stack:
        for each in candidates:
            try:
                reporter = stack.enter_context(
                    cxrscribe.load(path, device=each.device, precision=str(each.precision), threads=threads)
                )
                alone, together = _Run(reporter, 1), _Run(reporter, MANY)
                alone()
                together()
            except CxrscribeError as error:
                problems[str(each)] = str(error)
            else:
                runs[str(each)] = alone, together
        seconds = seconds_in_turn([run for pair in runs.values() for run in pair], rounds)
    times = [1000 * median(each) for each in seconds]
    pairs = list(zip(times[::2], (together / MANY for together in times[1::2]), strict=True))
    costs = [math.sqrt(alone * together) for alone, together in pairs]
    rows = [
        Measured(name, *pair, cost / min(costs)) for name, pair, cost in zip(runs, pairs, costs, strict=True)
    ]
    return sorted(rows, key=lambda row: row.times_the_best), problems


class _Run:
    """Reports of so many films, all of them of the same length."""

    def __init__(self, reporter: Reporter, count: int) -> None:
        size = (reporter.manifest.preprocessing.height, reporter.manifest.preprocessing.width)
        random = np.random.default_rng(0)
        self._films = [random.integers(0, 256, size, dtype=np.uint8) for _ in range(count)]
        self._settings = BeamSettings(
            beam_width=reporter.settings.beam_width, max_length=WORDS, min_length=WORDS - 1
        )
        self._reporter = reporter

    def __call__(self) -> None:
        self._reporter.report_batch(self._films, self._settings)


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.bundle}, {verdict.threads} threads"
    yield f"chosen: {verdict.chosen}, after {verdict.trial_seconds:.1f} s"
    yield f"{'measured in full':<24}{'alone, ms':>14}{'among many, ms':>18}{'of the best':>14}"
    for row in verdict.all:
        mark = "*" if row.candidate == verdict.chosen else " "
        yield (
            f"{mark} {row.candidate:<22}{row.alone_ms:>14.2f}{row.together_ms:>18.2f}"
            f"{row.times_the_best:>13.3f}x"
        )
    for name, why in verdict.problems.items():
        yield f"  {name:<22}not measured: {why}"


if __name__ == "__main__":
    main()
