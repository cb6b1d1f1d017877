"""cxrscribe as a System."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cxrscribe
from cxrscribe import Report, Reporter
from cxrscribe.errors import FilmError
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import Workload


class Cxrscribe:
    """The System that is ours: the runtime, through its public API alone."""

    def __init__(self, workload: Workload, reporter: Reporter) -> None:
        self._reporter = reporter
        self._settings = workload.settings
        self._batch_size = workload.batch_size
        self._films = workload.film_files()
        self._features = workload.feature_rows()
        self._pictures = [reporter.manifest.preprocessing.read(film) for film in self._films]

    def details(self) -> Mapping[str, str]:
        reporter = self._reporter
        return {
            "version": cxrscribe.__version__,
            "device": reporter.device,
            "precision": reporter.precision,
            "threads": str(reporter.threads),
            "placement": "; ".join(map(str, reporter.placement)),
        }

    def from_films(self, first: int, count: int) -> list[Words]:
        films: Sequence[bytes] = self._films[first : first + count]
        outcomes = self._reporter.report_stream(films, self._settings, batch_size=self._batch_size)
        return [_words(outcome) for outcome in outcomes]

    def from_features(self, first: int, count: int) -> list[Words]:
        rows = self._features[first : first + count]
        reports = self._reporter.decode_stream(rows, self._settings, batch_size=self._batch_size)
        return [list(report.tokens) for report in reports]

    def encode(self, first: int, count: int) -> None:
        self._reporter.encode(self._pictures[first : first + count])


def open_cxrscribe(workload: Workload, precision: str) -> Cxrscribe:
    """Our runtime on a bundle's graphs of one precision, `fastest` included."""
    device, precision = workload.engine(precision)
    reporter = cxrscribe.load(workload.bundle, device=device, precision=precision, threads=workload.threads)
    return Cxrscribe(workload, reporter)


def _words(outcome: Report | FilmError) -> Words:
    if isinstance(outcome, FilmError):
        raise outcome
    return list(outcome.tokens)
