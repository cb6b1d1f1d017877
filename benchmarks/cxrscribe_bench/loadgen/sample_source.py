"""The samples that LoadGen asks for by their indices, and how our runtime answers them in each scenario."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe import BeamSettings, Reporter
from cxrscribe.errors import FilmError
from cxrscribe_bench.loadgen.answers import Answer
from cxrscribe_bench.loadgen.query_queue import QueryQueue


class SampleSource(Protocol):
    """Samples in memory. Each method gives one answer for each index, in order."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> Sequence[Answer]:
        """The answers to one query, all at once: of SingleStream, of MultiStream."""
        ...

    def stream(self, indices: Sequence[int]) -> Iterable[Answer]:
        """The answers to many, each once it is there: Offline."""
        ...

    def arriving(self, queue: QueryQueue) -> Iterator[Answer]:
        """The answers to all that a queue gives until it is closed: Server."""
        ...


class FilmSource:
    """A SampleSource of films' files: decoding, preprocessing, encoding and search are all in the answer."""

    def __init__(
        self, reporter: Reporter, films: Sequence[bytes], settings: BeamSettings, batch_size: int
    ) -> None:
        self._reporter = reporter
        self._films = films
        self._settings = settings
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._films)

    def batch(self, indices: Sequence[int]) -> Sequence[Answer]:
        films = [self._films[index] for index in indices]
        if len(films) > 1:
            return self._reporter.report_batch(films, self._settings)
        try:
            return [self._reporter.report(film, self._settings) for film in films]
        except FilmError as error:
            return [error]

    def stream(self, indices: Sequence[int]) -> Iterable[Answer]:
        films = [self._films[index] for index in indices]
        return self._reporter.report_stream(films, self._settings, batch_size=self._batch_size)

    def arriving(self, queue: QueryQueue) -> Iterator[Answer]:
        """A film joins the search that goes on, as soon as there is room."""
        films = (self._films[index] for index in queue)
        return self._reporter.report_stream(films, self._settings, batch_size=self._batch_size)


class FeatureSource:
    """A SampleSource of rows of features: only search is in the answer."""

    def __init__(
        self, reporter: Reporter, rows: NDArray[np.float32], settings: BeamSettings, batch_size: int
    ) -> None:
        """`rows`: float32 [N, F]."""
        self._reporter = reporter
        self._rows = rows
        self._settings = settings
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._rows)

    def batch(self, indices: Sequence[int]) -> Sequence[Answer]:
        return self._reporter.decode_features(self._rows[list(indices)], self._settings)

    def stream(self, indices: Sequence[int]) -> Iterable[Answer]:
        rows = self._rows[list(indices)]
        return self._reporter.decode_stream(rows, self._settings, batch_size=self._batch_size)

    def arriving(self, queue: QueryQueue) -> Iterator[Answer]:
        """All that wait are one batch, and nothing joins it.

        For decode_stream fills its batch before it begins: it would wait for rows that nobody has sent yet.
        """
        while indices := queue.take(self._batch_size):
            yield from self.batch(indices)
