"""What happens from film to text, each stage alone and as the runtime does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe import DecodingStats, Reporter
from cxrscribe.errors import FilmError
from cxrscribe.films.film import Pixels, read_film
from cxrscribe.films.read_ahead import read_batches
from cxrscribe.loader import open_bundle
from cxrscribe.networks.encoder import Encoder
from cxrscribe.sessions.device import CPU, OPENVINO, usable_threads
from cxrscribe_bench.groups import CORES, STAGE_NAMES
from cxrscribe_bench.results.measurement import Label
from cxrscribe_bench.workload import Workload

METHODS: Final = dict(
    zip(STAGE_NAMES, ("decode_files", "preprocess", "encode", "search", "film_to_text"), strict=True)
)
"""Name of a stage -> the method of Stages that does it."""


def cores(workload: Workload, stage: str, precision: str) -> dict[str, Label]:
    """The label CORES of a stage; none where a GPU does the work. `precision`: may name a device."""
    device, _ = workload.engine(precision)
    if device not in (CPU.name, OPENVINO.name):
        return {}
    busy = {"encode": workload.threads, "search": workload.threads, "film to text": usable_threads()}
    return {CORES: busy.get(stage, 1)}


class Stages:
    """The stages on the films and the features first ... first + count of a workload.

    A stage's first call for some films also makes what that stage takes as given: warm up before timing.
    Films that can't be read are a FilmError.
    """

    def __init__(
        self, workload: Workload, reporter: Reporter, encoder: Encoder, films: Sequence[bytes]
    ) -> None:
        """`encoder`: the one that `reporter` uses; `films`: files of the workload's films, whole."""
        self._workload = workload
        self._reporter = reporter
        self._encoder = encoder
        self._films = films
        self._features = workload.feature_rows()
        self._preprocessing = reporter.manifest.preprocessing
        self._grey: dict[tuple[int, int], list[Pixels]] = {}
        self._pictures: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def decode_files(self, first: int, count: int) -> None:
        """PNG, JPEG or DICOM files in memory -> grey films uint8 [h, w].

        One after the other on one thread, though the runtime reads several side by side and meanwhile
        encodes: this is the work, `read_films` the time.
        """
        self._decoded(first, count)

    def preprocess(self, first: int, count: int) -> None:
        """Grey films -> pictures uint8 [H, W], one after the other on one thread, as in `decode_files`."""
        for film in self._greys(first, count):
            self._preprocessing.apply(film)

    def read_films(self, first: int, count: int) -> None:
        """Both of these on the workload's threads, as the runtime reads films ahead."""
        tagged = ((film, None) for film in self._films[first : first + count])
        size = self._workload.batch_size
        for batch in read_batches(tagged, self._preprocessing.read, self._reporter.threads, 1, size):
            for film, _ in batch:
                if isinstance(film, FilmError):
                    raise film

    def encode(self, first: int, count: int) -> None:
        """Pictures uint8 [N, H, W] -> features float32 [N, F], by the encoder's graph and nothing else.

        In the runtime's own batches of at most FILMS_AT_ONCE.
        """
        pictures = self._pictures.get((first, count))
        if pictures is None:
            apply = self._preprocessing.apply
            pictures = np.stack([apply(film) for film in self._decoded(first, count)])
            self._pictures[first, count] = pictures
        self._encoder.encode(pictures)

    def search(self, first: int, count: int) -> DecodingStats:
        """Features float32 [N, F] -> reports; gives what the search did, `words` and `steps` among it."""
        stats = DecodingStats()
        rows = self._features[first : first + count]
        settings, size = self._workload.settings, self._workload.batch_size
        for _ in self._reporter.decode_stream(rows, settings, batch_size=size, stats=stats):
            pass
        return stats

    def film_to_text(self, first: int, count: int) -> DecodingStats:
        """Files in memory -> reports, all stages overlapping as in use; gives what was done."""
        stats = DecodingStats()
        films = self._films[first : first + count]
        settings, size = self._workload.settings, self._workload.batch_size
        for outcome in self._reporter.report_stream(films, settings, batch_size=size, stats=stats):
            if isinstance(outcome, FilmError):
                raise outcome
        return stats

    def _greys(self, first: int, count: int) -> list[Pixels]:
        greys = self._grey.get((first, count))
        if greys is None:
            greys = self._grey[first, count] = self._decoded(first, count)
        return greys

    def _decoded(self, first: int, count: int) -> list[Pixels]:
        hint = self._preprocessing.size_hint
        return [read_film(film, size_hint=hint) for film in self._films[first : first + count]]


def open_stages(workload: Workload, precision: str) -> Stages:
    """Stages on a bundle's graphs of one precision, `fastest` included.

    The graphs are opened once, as `cxrscribe.load` opens them: a second encoder would take its memory again.
    """
    device, precision = workload.engine(precision)
    opened = open_bundle(workload.bundle, device=device, threads=workload.threads, precision=precision)
    return Stages(workload, Reporter(opened), opened.encoder, workload.film_files())
