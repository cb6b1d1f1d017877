"""What scoring an archive takes from the processor by one engine and by another, and from all that there is.

Questions of `cxrscribe_bench.scripts.archive`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Final, TypeVar

import click

import cxrscribe
from cxrscribe.archive import begin_run, score_shards
from cxrscribe.archive.ray_data import score_on_ray
from cxrscribe.archive.supervisor import Assignment, supervise
from cxrscribe.engine import Engine
from cxrscribe.reporter import Reporter
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.material.drawn_films import write_drawn_films
from cxrscribe_bench.timing.family import Family, idle_seconds
from cxrscribe_bench.timing.rounds import interval

_T = TypeVar("_T")
_WORKERS: Final = 2
_ACTOR: Final = "ray::Map"
_SETTLING_SECONDS: Final = 1.0
"""After a run, for its actors to end."""
_SHARDS_OF_FEW: Final = 4
"""As many as an actor takes at a time."""


@dataclass
class Archives:
    """Runs over the first of these films, each a new one."""

    folder: Path
    films: Sequence[Path]
    bundle: Path
    reporter: Reporter
    runs: int = 0

    def begin(self, films: int, shard_films: int) -> tuple[Assignment, list[int]]:
        """A run over so many films, for workers of one thread each, and its shards."""
        self.runs += 1
        run = begin_run(
            self.folder / f"run-{self.runs}",
            [str(film) for film in self.films[:films]],
            self.reporter,
            self.reporter.settings,
            shard_films=shard_films,
        )
        engine = Engine(str(self.bundle.absolute()), "cpu", threads=1, spinning=False)
        return Assignment(run, engine), run.generation().missing()

    def cost(self, by: str, films: int, shard_films: int, workers: int) -> tuple[float, int]:
        """Processor seconds of all processes, with their starts; and how many actors there were.

        What Ray's own take in the background counts for Ray only.
        """
        assignment, shards = self.begin(films, shard_films)
        with Family() as family:
            receipts = (
                score_on_ray(assignment, shards, most_actors=workers)
                if by == "ray"
                else supervise(assignment, shards, workers)
            )
            done = sum(receipt.films - receipt.quarantined for receipt in receipts)
        sleep(_SETTLING_SECONDS)
        if done != films:
            raise click.ClickException(f"{films - done} of {films} films have no report")
        seconds = family.seconds if by == "ray" else family.younger_seconds
        return seconds, family.began(_ACTOR)


def measure_ray(folder: Path, films: int, bundle: Path, count: int, shard_films: int) -> dict[str, float]:
    """Two local workers' processor seconds a film over two actors' of Ray, the starts excluded.

    Each way scores all films and a third of them, and the difference counts. Rounds in which Ray didn't
    start both actors for both are left out.
    """
    few = films // 3
    ratios, costs, left_out = [], [], 0
    with archives(folder, films, bundle) as archive:
        for number in range(count + 1):
            sizes = (few, films) if number % 2 else (films, few)
            found = {
                (by, size): archive.cost(by, size, shard_films, _WORKERS)
                for by in (("local", "ray") if number % 4 < 2 else ("ray", "local"))
                for size in (sizes if number else (few,))
            }
            if not number:  # that was to warm up
                continue
            if any(found["ray", size][1] != _WORKERS for size in sizes):
                left_out += 1
                continue
            local, ray = (
                (found[by, films][0] - found[by, few][0]) / (films - few) for by in ("local", "ray")
            )
            click.echo(f"round {number}: {1e3 * local:.1f} ms a film, by Ray {1e3 * ray:.1f} ms", err=True)
            ratios.append(local / ray)
            costs.append((local, ray))
    if not ratios:
        raise click.ClickException("Ray never started both actors; give more --films")
    low, high = interval(ratios)
    return {
        "films": films - few,
        "rounds": len(ratios),
        "rounds_left_out": left_out,
        "local_over_ray": median(ratios),
        "local_over_ray_low": low,
        "local_over_ray_high": high,
        "lowest": min(ratios),
        "highest": max(ratios),
        "local_cpu_milliseconds_a_film": 1e3 * median(local for local, _ in costs),
        "ray_cpu_milliseconds_a_film": 1e3 * median(ray for _, ray in costs),
    }


def measure_ray_shards(folder: Path, films: int, bundle: Path, count: int) -> dict[str, float]:
    """Processor milliseconds that a shard more costs: the same films in shards of one, and in four shards.

    By one actor of Ray, and by one worker beside it. This has what a search costs more whose stream runs
    dry: an actor's does after four shards.
    """
    costs: dict[str, list[float]] = {"ray": [], "local": []}
    with archives(folder, films, bundle) as archive:
        few = -(-films // _SHARDS_OF_FEW)
        for number in range(count + 1):
            sizes = (1, few) if number % 2 else (few, 1)
            for by, found in costs.items():
                cost = {size: archive.cost(by, films, size, 1)[0] for size in sizes}
                if number:  # the first round warms up
                    found.append(1e3 * (cost[1] - cost[few]) / (films - -(-films // few)))
                    click.echo(f"round {number}, {by}: {found[-1]:.1f} ms a shard", err=True)
    figures: dict[str, float] = {"films": films, "rounds": count}
    for by, found in costs.items():
        low, high = interval(found)
        figures[f"{by}_cpu_milliseconds_a_shard"] = median(found)
        figures |= {f"{by}_low": low, f"{by}_high": high}
    return figures


def measure_share(folder: Path, films: int, bundle: Path, count: int) -> dict[str, float]:
    """Films a second of `score_shards` on all cores, over what reading, encoder and search would allow.

    Each of the three is measured alone, on one thread, in core-seconds a film. `share` is of all cores;
    `share_of_what_was_free` of those core-seconds that other programs left, which is the same on a machine
    that does nothing else.
    """
    cores = usable_threads()
    shares, free_shares, alones = [], [], []
    paths = write_drawn_films(films, folder / "drawn")
    with (
        cxrscribe.load(bundle, device="cpu", spinning=False) as reporter,
        cxrscribe.load(bundle, device="cpu", threads=1, spinning=False) as single,
    ):
        archive = Archives(folder, paths, bundle, reporter)
        for number in range(count + 1):
            alone = core_seconds(single, paths)
            assignment, shards = archive.begin(films, films)
            started, worked, idled = perf_counter(), process_time(), idle_seconds()
            for _ in score_shards(assignment.run, shards, reporter):
                pass
            passed, own = perf_counter() - started, process_time() - worked
            free = own + idle_seconds() - idled
            if number:  # the first round warms up
                alones.append(alone)
                shares.append(sum(alone) / (cores * passed))
                free_shares.append(sum(alone) / free)
    figures: dict[str, float] = {"films": films, "rounds": count, "cores": cores}
    for name, found in (("share", shares), ("share_of_what_was_free", free_shares)):
        low, high = interval(found)
        figures |= {name: median(found), f"{name}_low": low, f"{name}_high": high}
    for name, seconds in zip(("reading", "encoder", "search"), zip(*alones, strict=True), strict=True):
        figures[f"{name}_core_milliseconds_a_film"] = 1e3 * median(seconds) / films
    return figures


def core_seconds(reporter: Reporter, paths: Sequence[Path]) -> tuple[float, float, float]:
    """Of reading these films, of the encoder for them, of the search: each by itself."""
    read = reporter.manifest.preprocessing.read_shown
    reading, pictures = spent(lambda: [read(path, reporter.isolation).pixels for path in paths])
    encoding, features = spent(lambda: reporter.encode(pictures))
    searching, _ = spent(lambda: reporter.decode_features(features))
    return reading, encoding, searching


def spent(work: Callable[[], _T]) -> tuple[float, _T]:
    """Processor seconds of a call, and what it gave."""
    started = process_time()
    given = work()
    return process_time() - started, given


@contextmanager
def archives(folder: Path, films: int, bundle: Path) -> Iterator[Archives]:
    """Runs beside a Ray cluster of two cores on this machine; where Ray isn't installed, the program ends."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        click.echo("skipped: Ray isn't installed; pip install 'cxrscribe[ray]'", err=True)
        raise click.exceptions.Exit(0) from None
    paths = write_drawn_films(films, folder / "drawn")
    with cxrscribe.load(bundle, device="cpu", threads=1, spinning=False) as reporter:
        ray.init(num_cpus=_WORKERS, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        try:
            yield Archives(folder, paths, bundle, reporter)
        finally:
            ray.shutdown()
