"""MLPerf LoadGen: it issues queries by a scenario, and says what it thinks of how they were answered.

https://github.com/mlcommons/inference/tree/master/loadgen, on PyPI `mlcommons-loadgen`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from cxrscribe.errors import MissingExtraError
from cxrscribe_bench.loadgen.answers import Answers
from cxrscribe_bench.loadgen.exchange import Asked, Exchange
from cxrscribe_bench.loadgen.summary import FILE, LoadGenSummary


class Server(Protocol):
    """Whoever answers queries."""

    def start(self, exchange: Exchange) -> None:
        """Answer to this exchange from now on."""
        ...

    def serve(self, asked: Sequence[Asked]) -> None:
        """Answer a query, now or later."""
        ...

    def end(self) -> None:
        """There will be no more queries; all were completed."""
        ...


class LoadGen:
    """LoadGen, for any number of runs one after another. It is one a process: it has state of its own.

    Raises MissingExtraError where it isn't installed.
    """

    def __init__(self) -> None:
        try:
            import mlperf_loadgen
        except ImportError:
            raise MissingExtraError("MLPerf LoadGen", "bench") from None
        self._module: Any = mlperf_loadgen

    def run(
        self,
        scenario: str,
        settings: Mapping[str, float],
        samples: int,
        server: Server,
        answers: Answers,
        folder: Path,
    ) -> tuple[LoadGenSummary, Exchange]:
        """One run over so many samples. LoadGen's logs go into `folder`, which is made.

        `settings` go by LoadGen's own names. What `server` raised is raised here, once LoadGen has ended: it
        can't be stopped, and an exception that reaches it ends the process.
        """
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).unlink(missing_ok=True)  # so that no older one can pass for this run's
        exchange = Exchange(self._respond, answers)

        def issue(queried: Sequence[Any]) -> None:
            try:
                asked = exchange.issue((each.id, each.index) for each in queried)
                if asked:
                    server.serve(asked)
            except BaseException as error:
                exchange.fail(error)

        system = self._module.ConstructSUT(issue, _nothing)
        library = self._module.ConstructQSL(samples, samples, _nothing, _nothing)
        try:
            server.start(exchange)
            try:
                self._module.StartTestWithLogSettings(
                    system,
                    library,
                    self._test_settings(scenario, settings),
                    self._log_settings(folder),
                    # LoadGen obeys a file of this name, by default one in the working directory.
                    str(folder / "audit.config"),
                )
            finally:
                server.end()
        finally:
            self._module.DestroyQSL(library)
            self._module.DestroySUT(system)
        if exchange.error is not None:
            raise exchange.error
        return LoadGenSummary.read(folder), exchange

    def _respond(self, ids: Sequence[int]) -> None:
        """Responses without data: what was answered is compared here, not by LoadGen."""
        response = self._module.QuerySampleResponse
        self._module.QuerySamplesComplete([response(each, 0, 0) for each in ids])

    def _test_settings(self, scenario: str, settings: Mapping[str, float]) -> Any:
        made = self._module.TestSettings()
        made.scenario = getattr(self._module.TestScenario, scenario)
        made.mode = self._module.TestMode.PerformanceOnly
        for name, value in settings.items():
            kind = type(getattr(made, name))  # an unknown name would be set, and do nothing
            setattr(made, name, kind(value))
        return made

    def _log_settings(self, folder: Path) -> Any:
        made = self._module.LogSettings()
        output = self._module.LogOutputSettings()
        output.outdir = str(folder)
        output.copy_summary_to_stdout = False
        made.log_output = output
        made.enable_trace = False
        return made


def _nothing(*_: object) -> None:
    """For what LoadGen tells and nobody needs: samples are in memory, and nothing is held back."""
