"""What a run has found so far: it becomes the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cxrscribe_bench.results.environment import load
from cxrscribe_bench.results.goals import goals
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Quality, Record, ScenarioResult, TokenCheck


@dataclass
class Ledger:
    """Filled part by part."""

    environment: Mapping[str, Any]
    bundle: Mapping[str, Any]
    options: Mapping[str, Any]
    measurements: list[Measurement] = field(default_factory=list)
    scenarios: list[ScenarioResult] = field(default_factory=list)
    checks: list[TokenCheck] = field(default_factory=list)
    quality: list[Quality] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    details: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def leave_out(self, name: str, why: str, *, is_ours: bool) -> None:
        """Note what couldn't be measured. Where it is of our own runtime, the run has failed."""
        self.absent[name] = why
        if is_ours:
            self.failures.append(name)

    def record(self, *, complete: bool) -> Record:
        """All of it; `complete`: whether no part is missing."""
        environment = {key: value for key, value in self.environment.items() if key != "load"}
        return Record(
            environment={**environment, "load_before": self.environment["load"], "load_after": load()},
            bundle=self.bundle,
            options={**self.options, "complete": complete},
            measurements=tuple(self.measurements),
            scenarios=tuple(self.scenarios),
            checks=tuple(self.checks),
            goals=goals(self.measurements),
            quality=tuple(self.quality),
            absent=dict(self.absent),
            failures=tuple(self.failures),
            details=dict(self.details),
        )
