"""All scenarios of LoadGen on our runtime, at each precision, from films and from features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cxrscribe.cli.progress import progress
from cxrscribe.errors import CxrscribeError, MissingExtraError
from cxrscribe_bench.groups import FEATURES, FILMS, OURS
from cxrscribe_bench.loadgen.scenarios import ScenarioRun, open_scenarios
from cxrscribe_bench.loadgen.settings import SERVER, ScenarioSettings
from cxrscribe_bench.material.expected_words import ExpectedWords
from cxrscribe_bench.results.ledger import Ledger
from cxrscribe_bench.results.record import ScenarioResult, TokenCheck
from cxrscribe_bench.timing.race import Note
from cxrscribe_bench.timing.worker import Worker
from cxrscribe_bench.workload import Workload


@dataclass(frozen=True)
class LoadTests:
    """Which scenarios are run, and where they are written down."""

    workload: Workload
    precisions: tuple[str, ...]
    scenarios: Mapping[str, ScenarioSettings]
    server_bound_ns: int
    """Latency that 99 % of Server's queries must keep to."""
    expected: ExpectedWords
    ledger: Ledger
    logs: Path
    note: Note

    def run(self) -> None:
        """Run them, each precision in a process of its own; one that fails is left out, with the reason."""
        for precision in self.precisions:
            name = f"loadgen-{precision}"
            self.note(f"LoadGen at {precision}: {', '.join(self.scenarios)}")
            try:
                with Worker(
                    name, open_scenarios, self.workload, precision, log=self.logs / f"{name}.log"
                ) as worker:
                    self._run_all(worker, precision)
            except MissingExtraError as error:
                self.ledger.leave_out(name, str(error), is_ours=False)
            except CxrscribeError as error:
                self.ledger.leave_out(name, str(error), is_ours=True)

    def _run_all(self, worker: Worker, precision: str) -> None:
        pairs = [(scenario, source) for source in (FILMS, FEATURES) for scenario in self.scenarios]
        for scenario, source in progress(pairs, label=f"LoadGen, {precision}"):
            settings = self.scenarios[scenario]
            if scenario == SERVER:
                settings = replace(settings, target_latency_ns=self.server_bound_ns)
            expected = self.expected.words(source, precision)
            reply = worker.call("run", scenario, source, settings, self.logs / "loadgen", expected)
            run: ScenarioRun = reply.value
            rates = {f"{tried.rate:.4g}": tried.verdict for tried in run.tried}
            self.ledger.scenarios.append(replace(run.result, precision=precision, tried_rates=rates))
            self.ledger.checks.append(_check(run, precision))


def _check(run: ScenarioRun, precision: str) -> TokenCheck:
    result: ScenarioResult = run.result
    return TokenCheck(
        system=f"{OURS} under LoadGen {result.scenario}",
        source=result.source,
        precision=precision,
        reference="the reference's reports, at each answer",
        reports=run.answers,
        identical=run.answers - run.differing,
        differences=run.differences,
    )
