"""Our runtime under the scenarios of MLPerf LoadGen: what a worker process does for `cxrscribe bench`.

Scenarios are LoadGen's; nothing here is an MLPerf result, see `record.NOT_MLPERF`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Final

import cxrscribe
from cxrscribe import Reporter
from cxrscribe.errors import InputError
from cxrscribe_bench.groups import FEATURES, FILMS
from cxrscribe_bench.loadgen.answers import Answers
from cxrscribe_bench.loadgen.engine import LoadGen, Server
from cxrscribe_bench.loadgen.sample_source import FeatureSource, FilmSource, SampleSource
from cxrscribe_bench.loadgen.server import DirectServer, QueueServer
from cxrscribe_bench.loadgen.server_rate import highest_rate
from cxrscribe_bench.loadgen.settings import MULTI_STREAM, OFFLINE, SERVER, ScenarioSettings
from cxrscribe_bench.results.record import ScenarioResult
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import Workload

_PACE_SECONDS: Final = 0.5
"""How long our runtime's rate is measured before LoadGen is told what to reckon with; at most a run long."""

# LoadGen makes its queries before it begins, as many as last for the shortest duration at the rate that it is
# told; where the runtime is faster than that, the run is too short. So it is told more than was measured.
_QUERY_MARGIN: Final = 2.0
_SAMPLE_MARGIN: Final = 1.25

_FIRST_OF_OFFLINE: Final = 0.75
"""The rate that Server tries first, of that of Offline: where queries arrive by chance, few stand it all."""


@dataclass(frozen=True)
class TriedRate:
    """One run of Server."""

    rate: float
    """Queries a second that LoadGen was told to issue."""
    verdict: str
    """LoadGen's."""


@dataclass(frozen=True)
class ScenarioRun:
    """What running a scenario gave."""

    result: ScenarioResult
    answers: int
    """Of all runs: samples that were answered."""
    differing: int
    """Those whose words are not the expected ones, films without any report included."""
    differences: tuple[str, ...]
    """The first few of them, in words."""
    tried: tuple[TriedRate, ...] = ()
    """Of Server: all of its runs, in order; `result` is one of them."""


class Scenarios:
    """Our runtime, through its public API, as the system under test."""

    def __init__(self, loadgen: LoadGen, workload: Workload, reporter: Reporter) -> None:
        self._loadgen = loadgen
        self._precision = reporter.precision
        self._batch_size = workload.batch_size
        beam = workload.settings
        self._sources: dict[str, SampleSource] = {
            FILMS: FilmSource(reporter, workload.film_files(), beam, workload.batch_size),
            FEATURES: FeatureSource(reporter, workload.feature_rows(), beam, workload.batch_size),
        }

    def run(
        self,
        scenario: str,
        source: str,
        settings: ScenarioSettings,
        log_folder: Path,
        expected: Sequence[Words] | None = None,
    ) -> ScenarioRun:
        """Run a scenario over all samples of a source, `films` or `features`.

        LoadGen's logs go into a folder of `log_folder`, that Server divides by rates. `expected`: the words
        of each sample; None: those of its first report.

        Raises InputError for a scenario, a source or a number of expected reports that don't fit, and
        whatever our runtime raises; but a FilmError is an answer.
        """
        samples = self._source(source)
        if expected is not None and len(expected) != len(samples):
            raise InputError(
                f"{len(expected)} reports are expected of {len(samples)} {source}; give one for each"
            )
        settings.given(scenario, 1.0)  # so that what is wrong with them is said before anything runs
        bench = _Bench(
            self._loadgen,
            scenario,
            source,
            samples,
            self._precision,
            settings,
            log_folder / f"{scenario}-{source}-{self._precision}",
        )
        if scenario == SERVER:
            return bench.server(self._pace(scenario, samples, settings), expected)
        return bench.once(self._pace(scenario, samples, settings), expected)

    def _source(self, name: str) -> SampleSource:
        if name not in self._sources:
            raise InputError(f"there is no source {name!r}; there are {', '.join(self._sources)}")
        samples = self._sources[name]
        if not len(samples):
            raise InputError(f"the workload has no {name}; give at least one")
        return samples

    def _pace(self, scenario: str, samples: SampleSource, settings: ScenarioSettings) -> float:
        """Calls of a second as the scenario makes them, at best; in Offline and Server samples a second."""
        at_once = scenario in (OFFLINE, SERVER)
        count = 2 * self._batch_size if at_once else 1
        if scenario == MULTI_STREAM:
            count = settings.samples_per_query
        list(samples.batch([0]))  # what comes but once
        best = 0.0
        begun = perf_counter()
        first = 0
        while perf_counter() < begun + min(_PACE_SECONDS, settings.min_duration_ms / 1000):
            indices = [place % len(samples) for place in range(first, first + count)]
            started = perf_counter()
            list(samples.stream(indices) if at_once else samples.batch(indices))
            best = max(best, 1 / (perf_counter() - started))
            first += count
        return best * count if at_once else best


@dataclass(frozen=True)
class _Bench:
    """One scenario on one source, ready to be run."""

    loadgen: LoadGen
    scenario: str
    source: str
    samples: SampleSource
    precision: str
    settings: ScenarioSettings
    folder: Path
    answers: Answers = field(default_factory=Answers)
    """Of all runs."""

    def once(self, pace: float, expected: Sequence[Words] | None) -> ScenarioRun:
        """All scenarios but Server."""
        if self.scenario == OFFLINE:
            result = self._run(_SAMPLE_MARGIN * pace, DirectServer(self.samples.stream), self.folder)
        else:
            result = self._run(_QUERY_MARGIN * pace, DirectServer(self.samples.batch), self.folder)
        return self._checked(result, expected)

    def server(self, pace: float, expected: Sequence[Words] | None) -> ScenarioRun:
        """Server, at one rate after another."""
        server = QueueServer(self.samples)
        results: dict[float, ScenarioResult] = {}

        def is_valid(rate: float) -> bool:
            results[rate] = self._run(rate, server, self.folder / f"{rate:.6g}-a-second")
            return results[rate].is_valid

        settings = self.settings
        until = perf_counter() + settings.most_seconds

        def has_time(rate: float) -> bool:
            return perf_counter() + settings.server_seconds(rate) < until

        best = highest_rate(
            is_valid, has_time, _FIRST_OF_OFFLINE * pace, settings.most_runs, settings.rate_precision
        )
        result = results[min(results) if best is None else best]
        tried = tuple(TriedRate(rate, each.verdict) for rate, each in results.items())
        return self._checked(result, expected, tried)

    def _run(self, rate: float, server: Server, folder: Path) -> ScenarioResult:
        given = self.settings.given(self.scenario, rate)
        summary, exchange = self.loadgen.run(
            self.scenario, given, len(self.samples), server, self.answers, folder
        )
        return ScenarioResult(
            scenario=self.scenario,
            source=self.source,
            precision=self.precision,
            verdict=summary.verdict,
            summary=summary.text,
            metric=summary.metric,
            metric_value=summary.metric_value,
            settings=given,
            seconds=tuple(exchange.seconds),
            reports=exchange.reports,
            duration=exchange.duration,
        )

    def _checked(
        self, result: ScenarioResult, expected: Sequence[Words] | None, tried: tuple[TriedRate, ...] = ()
    ) -> ScenarioRun:
        found = self.answers.differences(expected)
        return ScenarioRun(result, len(self.answers), found.count, tuple(found.first), tried)


def open_scenarios(workload: Workload, precision: str) -> Scenarios:
    """Our runtime on a bundle's graphs of one precision, `fastest` included.

    Raises MissingExtraError where LoadGen isn't installed.
    """
    loadgen = LoadGen()  # before what takes longer
    device, precision = workload.engine(precision)
    reporter = cxrscribe.load(workload.bundle, device=device, precision=precision, threads=workload.threads)
    return Scenarios(loadgen, workload, reporter)
