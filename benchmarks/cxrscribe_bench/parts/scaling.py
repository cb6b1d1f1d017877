"""How our runtime's time and memory go with what it is given: films, sizes, settings, threads."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, DecodingStats, Reporter
from cxrscribe.bundle.architecture import Architecture
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import CxrscribeError, FilmError, InputError
from cxrscribe.films.film import Pixels, read_film
from cxrscribe.sessions.cache_folder import VARIABLE as CACHE_VARIABLE
from cxrscribe.sessions.device import usable_threads
from cxrscribe_bench.groups import scaling
from cxrscribe_bench.material.random_decoder import write_random_decoder
from cxrscribe_bench.parts.curve import Curve, Failed, Point, measured
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.timing.worker import Worker
from cxrscribe_bench.workload import Workload


@dataclass(frozen=True)
class Scale:
    """Which points are measured, how often, and on how much. All of them rise."""

    films: tuple[int, ...]
    """From film to text, `batch_size` as in the workload."""
    batch_sizes: tuple[int, ...]
    """Of `images` features."""
    beam_widths: tuple[int, ...]
    """Of `images` features."""
    lengths: tuple[int, ...]
    """Steps that each report is forced to take, of `images` features; at least 2."""
    vocabularies: tuple[int, ...]
    """Words of decoders of random weights, for which there are `images` features; fp32 only."""
    threads: tuple[int, ...]
    """From film to text, `films_a_point` films; those beyond what the process may use are left out, and that
    many are always among them."""
    film_sizes: tuple[int, ...]
    """Pixels of the longer side, `films_a_point` films from file to text."""
    images: int
    films_a_point: int
    steps: int
    """Steps that each report is forced to take where the vocabulary varies."""
    rounds: int
    seconds: float
    """Of one curve, after which no further round begins, but for the second."""


FULL: Final = Scale(
    films=(1, 2, 4, 8, 16, 32, 64),
    batch_sizes=(1, 2, 4, 8, 16, 32, 64),
    beam_widths=(1, 2, 3, 5, 8, 10, 15, 20),
    lengths=(10, 20, 40, 80, 120, 160),
    vocabularies=(250, 500, 1000, 2000, 4000, 8000),
    threads=(1, 2, 4, 8, 16, 32, 64),
    film_sizes=(512, 1024, 1500, 2000, 2500, 3000),
    images=64,
    films_a_point=4,
    steps=40,
    rounds=7,
    seconds=10.0,
)
QUICK: Final = Scale(
    films=(1, 4),
    batch_sizes=(1, 4),
    beam_widths=(1, 5),
    lengths=(10, 40),
    vocabularies=(250, 2000),
    threads=(1,),
    film_sizes=(512, 1500),
    images=4,
    films_a_point=1,
    steps=20,
    rounds=3,
    seconds=0.3,
)


class Scaling:
    """Our runtime on one bundle, asked for varying things."""

    def __init__(self, workload: Workload, reporter: Reporter) -> None:
        self._workload = workload
        self._reporter = reporter
        self._features = workload.feature_rows()

    def report(self, films: Sequence[Path]) -> DecodingStats:
        """From these files to text, as the workload says. Raises FilmError for one that can't be read."""
        stats = DecodingStats()
        settings, size = self._workload.settings, self._workload.batch_size
        for outcome in self._reporter.report_stream(films, settings, batch_size=size, stats=stats):
            if isinstance(outcome, FilmError):
                raise outcome
        return stats

    def search(self, images: int, batch_size: int, settings: BeamSettings) -> DecodingStats:
        """From `images` of the workload's features, again from the first where there are fewer, to text."""
        stats = DecodingStats()
        rows = self._features[np.arange(images) % len(self._features)]
        for _ in self._reporter.decode_stream(rows, settings, batch_size=batch_size, stats=stats):
            pass
        return stats


def open_scaling(workload: Workload, precision: str) -> Scaling:
    """Our runtime on a bundle's graphs of one precision, `fastest` included."""
    device, precision = workload.engine(precision)
    reporter = cxrscribe.load(workload.bundle, device=device, precision=precision, threads=workload.threads)
    return Scaling(workload, reporter)


def scaling_measurements(
    workload: Workload,
    precision: str,
    scale: Scale,
    log_folder: Path,
    advance: Callable[[str], None] = lambda group: None,
    failed: Failed = lambda name, reason: None,
) -> Iterator[Measurement]:
    """A Measurement of each point, curve by curve, in the groups `scaling/<variable>`.

    These are `films`, `batch_size`, `beam_width`, `length`, `vocabulary`, `threads` and `film_size`; labels
    are `x`, `unit` and `precision`. `advance` is called with a curve's group when it begins. A point that
    fails is left out, and `failed` is called with its name and the reason.

    Raises BundleError when the workload's bundle can't be opened.
    """
    architecture = Manifest.read(workload.bundle).architecture
    with tempfile.TemporaryDirectory(prefix="cxrscribe-scaling-") as name:
        folder = Path(name)
        cache = {CACHE_VARIABLE: str(folder / "cache")}  # random decoders have no place in the user's own
        curves = _Curves(workload, precision, scale)
        makers: Mapping[str, Callable[[], Curve]] = {
            "films": curves.films,
            "batch_size": curves.batch_sizes,
            "beam_width": curves.beam_widths,
            "length": curves.lengths,
            "vocabulary": partial(curves.vocabularies, architecture, folder),
            "threads": curves.threads,
            "film_size": partial(curves.film_sizes, folder),
        }
        for variable, make in makers.items():
            if variable == "vocabulary" and precision != FP32:
                continue
            advance(scaling(variable))
            try:
                curve = make()
            except CxrscribeError as error:
                failed(scaling(variable), str(error))
                continue
            environment = cache if variable == "vocabulary" else {}
            open_worker = partial(_open, precision, log_folder, environment)
            yield from measured(curve, open_worker, scale.rounds, scale.seconds, failed)


def _open(precision: str, log_folder: Path, environment: Mapping[str, str], point: Point) -> Worker:
    log = log_folder / "scaling.log"
    return Worker("cxrscribe", open_scaling, point.workload, precision, log=log, environment=environment)


@dataclass(frozen=True)
class _Curves:
    workload: Workload
    precision: str
    scale: Scale

    def films(self) -> Curve:
        return self._reports("films", "films", {count: (self.workload, count) for count in self.scale.films})

    def threads(self) -> Curve:
        usable = usable_threads()
        counts = {*(count for count in self.scale.threads if count < usable), usable}
        workloads = {count: replace(self.workload, threads=count) for count in counts}
        films = self.scale.films_a_point
        return self._reports(
            "threads", "threads", {count: (each, films) for count, each in workloads.items()}
        )

    def film_sizes(self, folder: Path) -> Curve:
        drawn = read_film(self._films(1)[0])
        points = []
        for side in self.scale.film_sizes:
            film = _enlarged(drawn, side, folder / f"{side}.png")
            films = (film,) * self.scale.films_a_point
            points.append(Point(side, self.workload, "report", (films,), len(films)))
        return self._curve("film_size", "px", points)

    def batch_sizes(self) -> Curve:
        settings = {size: (size, self.workload.settings) for size in self.scale.batch_sizes}
        return self._searches("batch_size", "images", settings)

    def beam_widths(self) -> Curve:
        chosen, size = self.workload.settings, self.workload.batch_size
        settings = {
            width: (size, replace(chosen, beam_width=width, n_best=min(chosen.n_best, width)))
            for width in self.scale.beam_widths
        }
        return self._searches("beam_width", "hypotheses", settings)

    def lengths(self) -> Curve:
        size = self.workload.batch_size
        settings = {steps: (size, _forced(self.workload.settings, steps)) for steps in self.scale.lengths}
        return self._searches("length", "steps", settings)

    def vocabularies(self, architecture: Architecture, folder: Path) -> Curve:
        settings = replace(_forced(self.workload.settings, self.scale.steps), banned_words=())
        images, size = self.scale.images, self.workload.batch_size
        points = []
        for words in self.scale.vocabularies:
            bundle = write_random_decoder(folder / f"{words}-words", architecture, words)
            workload = replace(self.workload, bundle=bundle, films=())
            points.append(Point(words, workload, "search", (images, size, settings), images))
        return self._curve("vocabulary", "words", points)

    def _reports(self, variable: str, unit: str, given: Mapping[int, tuple[Workload, int]]) -> Curve:
        """Points of so many films, the workload's and again from the first where it has fewer."""
        points = [
            Point(x, workload, "report", (self._films(count),), count)
            for x, (workload, count) in given.items()
        ]
        return self._curve(variable, unit, points)

    def _films(self, count: int) -> tuple[Path, ...]:
        if not self.workload.films:
            raise InputError("there is no film to report on; give at least one")
        return tuple(islice(cycle(self.workload.films), count))

    def _searches(self, variable: str, unit: str, given: Mapping[int, tuple[int, BeamSettings]]) -> Curve:
        """Points of these batch sizes and settings."""
        images = self.scale.images
        points = [
            Point(x, self.workload, "search", (images, *arguments), images) for x, arguments in given.items()
        ]
        return self._curve(variable, unit, points)

    def _curve(self, variable: str, unit: str, points: Sequence[Point]) -> Curve:
        return Curve(variable, unit, self.precision, tuple(points))


def _forced(settings: BeamSettings, steps: int) -> BeamSettings:
    """Every search takes just so many steps: no report may end before, and none goes on."""
    return replace(settings, max_length=steps, min_length=steps - 1)


def _enlarged(film: Pixels, side: int, file: Path) -> Path:
    """Write the film as a PNG file whose longer side has `side` pixels."""
    larger = side / max(film.shape)
    height, width = (round(larger * length) for length in film.shape)
    Image.fromarray(film).resize((width, height), Image.Resampling.BICUBIC).save(file)
    return file
