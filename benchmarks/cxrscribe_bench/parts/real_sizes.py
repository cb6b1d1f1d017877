"""Films as large as detectors give them: what reading costs by format, and how fast they become text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe import DecodingStats, Reporter
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.cli.progress import progress
from cxrscribe.errors import CxrscribeError, FilmError
from cxrscribe.films.film import Pixels
from cxrscribe.films.read_ahead import read_batches
from cxrscribe.loader import open_bundle
from cxrscribe.networks.encoder import Encoder
from cxrscribe_bench.groups import REAL_SIZES
from cxrscribe_bench.material.large_films import write_large_films
from cxrscribe_bench.parts import stages
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.results.measurement import Label, Measurement
from cxrscribe_bench.timing.race import Arguments, Lap, Note, take_turns
from cxrscribe_bench.timing.worker import Reply, Worker
from cxrscribe_bench.workload import Workload

MEASURED: Final = (
    "PNG, 8 bits",
    "PNG, 16 bits",
    "JPEG",
    "DICOM raw, 12 bits",
    "DICOM JPEG lossless",
    "DICOM JPEG 2000",
)
"""Formats of `material.large_films`."""


@dataclass(frozen=True)
class Sizes:
    """How much of it is measured."""

    drawn: int
    """Films of each format that differ; drawing and writing one takes seconds."""
    films: int
    """Films of one round; the drawn ones come again and again."""


class FormatStages:
    """Each method works on all films of one format, by its number, and tells what the search did, if any."""

    def __init__(
        self,
        workload: Workload,
        reporter: Reporter,
        encoder: Encoder,
        films: Sequence[Sequence[bytes]],
    ) -> None:
        """`encoder`: the one that `reporter` uses; `films`: files of each format, whole."""
        self._workload = workload
        self._reporter = reporter
        self._encoder = encoder
        self._films = films
        self._read = partial(reporter.manifest.preprocessing.read, isolation=reporter.isolation)
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._features: dict[int, NDArray[np.float32]] = {}

    def read(self, number: int) -> None:
        """Files in memory -> pictures uint8 [H, W], one after the other."""
        for film in self._films[number]:
            self._read(film)

    def read_side_by_side(self, number: int) -> None:
        """The same on as many threads as the runtime reads on."""
        self._read_all(number)

    def encode(self, number: int) -> None:
        """Pictures -> features float32 [N, F], in the runtime's own batches."""
        self._encoder.encode(self._pictures_of(number))

    def search(self, number: int) -> DecodingStats:
        """Features -> reports."""
        features = self._features.get(number)
        if features is None:
            features = self._features[number] = self._encoder.encode(self._pictures_of(number))
        stats = DecodingStats()
        settings, size = self._workload.settings, self._workload.batch_size
        for _ in self._reporter.decode_stream(features, settings, batch_size=size, stats=stats):
            pass
        return stats

    def film_to_text(self, number: int) -> DecodingStats:
        """Files in memory -> reports, all stages overlapping as in use."""
        stats = DecodingStats()
        settings, size = self._workload.settings, self._workload.batch_size
        for outcome in self._reporter.report_stream(
            self._films[number], settings, batch_size=size, stats=stats
        ):
            if isinstance(outcome, FilmError):
                raise outcome
        return stats

    def _pictures_of(self, number: int) -> NDArray[np.uint8]:
        pictures = self._pictures.get(number)
        if pictures is None:
            pictures = self._pictures[number] = np.stack(self._read_all(number))
        return pictures

    def _read_all(self, number: int) -> list[Pixels]:
        tagged = ((film, None) for film in self._films[number])
        size = self._workload.batch_size
        pictures = []
        for batch in read_batches(tagged, self._read, self._reporter.threads, 1, size):
            for picture, _ in batch:
                if isinstance(picture, FilmError):
                    raise picture
                pictures.append(picture)
        return pictures


def open_format_stages(
    workload: Workload, precision: str, films: Sequence[Sequence[Path]], count: int
) -> FormatStages:
    """On a bundle's graphs of one precision; `count` films of each format, the given ones again and again."""
    device, precision = workload.engine(precision)
    opened = open_bundle(workload.bundle, device=device, threads=workload.threads, precision=precision)
    contents = [[path.read_bytes() for path in paths] for paths in films]
    cycled = [[each[number % len(each)] for number in range(count)] for each in contents]
    return FormatStages(workload, Reporter(opened), opened.encoder, cycled)


@dataclass(frozen=True)
class RealSizes:
    """All formats at these precisions, timed in turn."""

    workload: Workload
    precisions: tuple[str, ...]
    sizes: Sizes
    rounds: int
    folder: Path
    """Where the films are written."""
    ledger: Ledger
    logs: Path
    note: Note

    def measure(self) -> None:
        """Time them and write them down. What a format needs and isn't installed is said, and left out."""
        films = self._films()
        found: dict[str, dict[str, Label]] = {}
        laps: list[Lap] = []
        with ExitStack() as stack:
            for precision in self.precisions:
                worker = self._open(stack, precision, tuple(films.values()))
                if worker is None:
                    continue
                for name, method, number, labels in self._parts(films, precision):
                    found[name] = labels
                    laps.append(Lap(name, worker, method, _always(number)))
            if not laps:
                return
            self.note(f"films of real sizes: {self.rounds} rounds of {len(laps)}")
            turns = take_turns(laps, progress(range(self.rounds + 1), label="real sizes"))
        for name, why in turns.failed.items():
            self.ledger.leave_out(f"{REAL_SIZES}: {name}", why, is_ours=True)
        self.ledger.measurements += [
            self._measurement(name, found[name], replies) for name, replies in turns.replies.items()
        ]

    def _parts(
        self, films: Mapping[str, Sequence[Path]], precision: str
    ) -> list[tuple[str, str, int, dict[str, Label]]]:
        """Name, method, the format's number, labels. The encoder doesn't see what a film was kept as, and
        reading doesn't know the precision: each is measured once."""
        parts: list[tuple[str, str, int, dict[str, Label]]] = []

        def add(stage: str, method: str, number: int, **labels: Label) -> None:
            name = "/".join([stage, *map(str, labels.values())])
            cores = stages.cores(self.workload, stage, precision)
            parts.append((name, method, number, {"stage": stage, **labels, **cores}))

        for number, (each, paths) in enumerate(films.items()):
            if precision == self.precisions[0]:
                add("read", "read", number, format=each)
                parts[-1][-1]["file_bytes"] = round(mean(path.stat().st_size for path in paths))
                add("read side by side", "read_side_by_side", number, format=each)
            add("search", "search", number, format=each, precision=precision)
            add("film to text", "film_to_text", number, format=each, precision=precision)
        if films:
            add("encode", "encode", 0, precision=precision)
        return parts

    def _films(self) -> dict[str, tuple[Path, ...]]:
        """Files by format, of those formats that can be written and read here."""
        self.note(f"drawing {self.sizes.drawn} large films in {len(MEASURED)} formats")
        preprocessing = Manifest.read(self.workload.bundle).preprocessing
        found: dict[str, tuple[Path, ...]] = {}
        for name in MEASURED:
            try:
                paths = write_large_films(self.sizes.drawn, name, self.folder)
                preprocessing.read(paths[0])
            except (ImportError, FilmError) as error:
                self.ledger.leave_out(f"{REAL_SIZES}: {name}", str(error), is_ours=False)
            else:
                found[name] = paths
        return found

    def _open(self, stack: ExitStack, precision: str, films: Sequence[Sequence[Path]]) -> Worker | None:
        name = f"real-sizes-{precision}"
        try:
            return stack.enter_context(
                Worker(
                    name,
                    open_format_stages,
                    self.workload,
                    precision,
                    films,
                    self.sizes.films,
                    log=self.logs / f"{name}.log",
                )
            )
        except CxrscribeError as error:
            self.ledger.leave_out(name, str(error), is_ours=True)
            return None

    def _measurement(self, name: str, labels: dict[str, Label], replies: list[Reply]) -> Measurement:
        stats = [reply.value for reply in replies if isinstance(reply.value, DecodingStats)]
        return Measurement(
            group=REAL_SIZES,
            name=name,
            seconds=tuple(reply.seconds for reply in replies),
            items=self.sizes.films,
            labels=labels,
            words=stats[0].words if stats else None,
            steps=stats[0].steps if stats else None,
            peak_bytes=max(reply.peak_bytes for reply in replies) or None,
        )


def _always(number: int) -> Arguments:
    """The same argument in each round."""
    return lambda _: (number,)
