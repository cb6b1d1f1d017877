"""What `cxrscribe report` takes for one film, beside another version of it.

    git worktree add ../before v0.1
    python -m cxrscribe_bench.scripts.one_report --before ../before/runtime [--bundle BUNDLE --precision int8]

Fresh processes of both, in turn, with the cache of each: time, processor time and peak memory, as medians,
and the median of each round's ratio.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

import click

import cxrscribe
from cxrscribe.errors import InputError

NAMES: Final = ("seconds", "processor_seconds", "peak_mb")
_LAUNCHER: Final = """
import json, os, sys, time
began = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, used = os.wait4(process, 0)
seconds = time.perf_counter() - began
print(json.dumps([seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
sys.exit(1 if status else 0)
"""
"""A small process that starts another: what `wait4` gives as its peak counts the one that started it, too."""


@dataclass(frozen=True)
class Taken:
    """What one process took."""

    seconds: float
    processor_seconds: float
    peak_mb: float
    """Peak in RAM."""


def report_once(runtime: Path, options: list[str], cache: Path) -> Taken:
    """A report by the package that is in this folder. Raises InputError where there is none."""
    command = [sys.executable, "-m", "cxrscribe", "report", *options]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        env={**os.environ, "PYTHONPATH": str(runtime), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise InputError(f"the package in {runtime} made no report: {last}")
    seconds, processor_seconds, peak = json.loads(done.stdout)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Taken(seconds, processor_seconds, peak * kilobyte / 1e6)


def compared(now: list[Taken], before: list[Taken]) -> dict[str, object]:
    """Medians of both, and the median ratio of each pair."""
    ratios = {
        name: median(getattr(new, name) / getattr(old, name) for new, old in zip(now, before, strict=True))
        for name in NAMES
    }
    return {"before": _medians(before), "now": _medians(now), "now_over_before": ratios}


@click.command()
@click.option(
    "--before",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder that holds the other version's package cxrscribe.",
)
@click.option(
    "--film", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Or a sample film."
)
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), help="Without it, the demo bundle.")
@click.option("--precision", default="fp32", show_default=True)
@click.option("--rounds", "count", type=click.IntRange(min=1), default=9, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def main(
    before: Path, film: Path | None, bundle: Path | None, precision: str, count: int, as_json: bool
) -> None:
    """Compare this version's first report with that of another one."""
    bundle = bundle or cxrscribe.demo_bundle()
    options = [str(film or cxrscribe.demo_films()[0]), "--bundle", str(bundle), "--precision", precision]
    here = Path(cxrscribe.__file__).parents[1]
    taken: dict[Path, list[Taken]] = {here: [], before.absolute(): []}
    if len(taken) < 2:
        raise click.UsageError(f"{before} is the version that is measured; give another one")
    with TemporaryDirectory(prefix="cxrscribe-bench-") as folder:
        for number in range(count + 1):  # the first of each fills its cache, and Python's
            for place, runtime in enumerate(taken):
                one = report_once(runtime, options, Path(folder) / str(place))
                if number:
                    taken[runtime].append(one)
    found = compared(taken[here], taken[before.absolute()])
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for name, figures in found.items():
        assert isinstance(figures, dict)
        click.echo(f"{name:16}" + "".join(f"  {each} {value:.3f}" for each, value in figures.items()))


def _medians(all_taken: list[Taken]) -> dict[str, float]:
    return {name: median(asdict(one)[name] for one in all_taken) for name in NAMES}


if __name__ == "__main__":
    main()
