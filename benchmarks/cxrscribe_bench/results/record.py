"""All that one run found: what `bench.json` holds, and what pages and comparisons are made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cxrscribe.bundle.evidence import MOST_NEAR_TIES
from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.samples import Estimate

SCHEMA: Final = 1
FILE: Final = "bench.json"
_MOST_BYTES: Final = 1 << 30  # every sample of a long run
NOT_MLPERF: Final = (
    "Scenarios are run by MLPerf LoadGen. This is not an MLPerf result: it was not submitted to, nor "
    "reviewed by, MLCommons, and its model, data and durations are not those of MLPerf."
)


@dataclass(frozen=True)
class TokenCheck:
    """Whether a system wrote the words that it has to."""

    system: str
    source: str
    """`films` or `features`."""
    precision: str
    reference: str
    """What it was held against."""
    reports: int
    identical: int
    near_ties: int = 0
    """Of those that differ: how many do so after a decision closer than 1e-5."""
    is_required: bool = True
    """Whether the run fails with it: not so for peers, and not between precisions."""
    differences: tuple[str, ...] = ()
    """The first few of them, in words."""

    @classmethod
    def from_json(cls, fields: JsonObject) -> TokenCheck:
        """Read what a record holds of it. Raises the document's error, naming the field that is wrong."""
        fields.skip("passed")
        return fields.make(
            cls,
            system=fields.text("system"),
            source=fields.text("source"),
            precision=fields.text("precision"),
            reference=fields.text("reference"),
            reports=fields.integer("reports"),
            identical=fields.integer("identical"),
            near_ties=fields.integer("near_ties"),
            is_required=fields.boolean("is_required"),
            differences=fields.texts("differences"),
        )

    @property
    def passed(self) -> bool:
        """Whether all are identical but for near ties, in at most 0.5 % of them: see docs/decoding.md."""
        differing = self.reports - self.identical
        return differing == self.near_ties and self.near_ties <= MOST_NEAR_TIES * self.reports


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario, run by LoadGen."""

    scenario: str
    """`SingleStream`, `MultiStream`, `Offline`, `Server`."""
    source: str
    precision: str
    verdict: str
    """LoadGen's own: `VALID` or `INVALID`."""
    summary: str
    """LoadGen's own summary, unchanged."""
    metric: str
    """What LoadGen calls the figure it reports: say `90.0th percentile latency (ns)`."""
    metric_value: float
    settings: Mapping[str, float]
    """Those that were given to LoadGen, by its own names."""
    seconds: tuple[float, ...]
    """Latency of each query, from being issued to being answered, by our own clock."""
    reports: int
    duration: float
    """Seconds."""
    tried_rates: Mapping[str, str] = field(default_factory=dict)
    """Of Server: every rate in queries a second that was tried, and LoadGen's verdict on it."""

    @classmethod
    def from_json(cls, fields: JsonObject) -> ScenarioResult:
        """Read what a record holds of it. Raises the document's error, naming the field that is wrong."""
        return fields.make(
            cls,
            scenario=fields.text("scenario"),
            source=fields.text("source"),
            precision=fields.text("precision"),
            verdict=fields.text("verdict"),
            summary=fields.text("summary"),
            metric=fields.text("metric"),
            metric_value=fields.number("metric_value"),
            settings=fields.mapping("settings"),
            seconds=fields.numbers("seconds"),
            reports=fields.integer("reports"),
            duration=fields.number("duration"),
            tried_rates=fields.mapping("tried_rates"),
        )

    @property
    def is_valid(self) -> bool:
        """Whether LoadGen says so."""
        return self.verdict == "VALID"


@dataclass(frozen=True)
class Goal:
    """A figure that the project has set itself."""

    name: str
    value: Estimate
    goal: float
    at_most: bool
    """Whether smaller is better."""

    @classmethod
    def from_json(cls, fields: JsonObject) -> Goal:
        """Read what a record holds of it. Raises the document's error, naming the field that is wrong."""
        fields.skip("reached")
        return fields.make(
            cls,
            name=fields.text("name"),
            value=Estimate.from_json(fields.object("value")),
            goal=fields.number("goal"),
            at_most=fields.boolean("at_most"),
        )

    @property
    def reached(self) -> bool:
        """Whether the value is as good as the goal."""
        return self.value.value <= self.goal if self.at_most else self.value.value >= self.goal


@dataclass(frozen=True)
class Quality:
    """What a precision costs: agreement with fp32 in this run, and what the bundle says of it."""

    precision: str
    reports: int
    identical: int
    word_agreement: float
    """Words that are the same at the same place, over the words of the longer report, of all reports."""
    recorded: Mapping[str, float] = field(default_factory=dict)
    """From the bundle's manifest: `bleu_4`, `label_f1_micro`, and those of fp32; empty where it has none."""

    @classmethod
    def from_json(cls, fields: JsonObject) -> Quality:
        """Read what a record holds of it. Raises the document's error, naming the field that is wrong."""
        return fields.make(
            cls,
            precision=fields.text("precision"),
            reports=fields.integer("reports"),
            identical=fields.integer("identical"),
            word_agreement=fields.number("word_agreement"),
            recorded=fields.mapping("recorded"),
        )


@dataclass(frozen=True)
class Record:
    """One run."""

    environment: Mapping[str, Any]
    """What `environment` says of the machine."""
    bundle: Mapping[str, Any]
    options: Mapping[str, Any]
    measurements: tuple[Measurement, ...]
    scenarios: tuple[ScenarioResult, ...]
    checks: tuple[TokenCheck, ...]
    goals: tuple[Goal, ...]
    quality: tuple[Quality, ...]
    absent: Mapping[str, str]
    """System or part that couldn't be measured, and why."""
    details: Mapping[str, Mapping[str, str]]
    """What each system says of itself."""
    failures: tuple[str, ...] = ()
    """Names in `absent`: what of our own runtime failed, so that the run has."""
    cxrscribe_bench: int = SCHEMA

    def group(self, name: str) -> tuple[Measurement, ...]:
        """Its measurements, in order."""
        return tuple(each for each in self.measurements if each.group == name)

    def measurement(self, group: str, name: str) -> Measurement | None:
        """One of them, or None."""
        return next((each for each in self.group(group) if each.name == name), None)

    @property
    def drifted(self) -> tuple[TokenCheck, ...]:
        """The required checks that failed."""
        return tuple(check for check in self.checks if check.is_required and not check.passed)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "cxrscribe_bench": self.cxrscribe_bench,
            "notice": NOT_MLPERF,
            "environment": dict(self.environment),
            "bundle": dict(self.bundle),
            "options": dict(self.options),
            "goals": [{**asdict(goal), "reached": goal.reached} for goal in self.goals],
            "checks": [{**asdict(check), "passed": check.passed} for check in self.checks],
            "quality": [asdict(each) for each in self.quality],
            "scenarios": [asdict(scenario) for scenario in self.scenarios],
            "measurements": [measurement.to_json() for measurement in self.measurements],
            "absent": dict(self.absent),
            "failures": list(self.failures),
            "details": {name: dict(each) for name, each in self.details.items()},
        }

    def write(self, folder: Path) -> Path:
        """Write `bench.json` into a folder."""
        path = folder / FILE
        path.write_text(
            json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        return path

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read what `write` wrote: the file, or the folder it is in. Raises InputError for anything else."""
        file = path / FILE if path.is_dir() else path
        fields = read_json_object(
            file, _MOST_BYTES, place=str(file), remedy="give what `cxrscribe bench` wrote"
        )
        schema = fields.value("cxrscribe_bench") if "cxrscribe_bench" in fields.names() else None
        if schema != SCHEMA:
            raise InputError(
                f"{file} is not a record of `cxrscribe bench` of schema {SCHEMA} (schema: {schema!r}); "
                "measure again with this version"
            )
        return cls.from_json(fields)

    @classmethod
    def from_json(cls, fields: JsonObject) -> Record:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        fields.skip("notice", "cxrscribe_bench")
        return fields.make(
            cls,
            environment=fields.mapping("environment"),
            bundle=fields.mapping("bundle"),
            options=fields.mapping("options"),
            measurements=tuple(map(Measurement.from_json, fields.objects("measurements"))),
            scenarios=tuple(map(ScenarioResult.from_json, fields.objects("scenarios"))),
            checks=tuple(map(TokenCheck.from_json, fields.objects("checks"))),
            goals=tuple(map(Goal.from_json, fields.objects("goals"))),
            quality=tuple(map(Quality.from_json, fields.objects("quality"))),
            absent=fields.mapping("absent"),
            failures=fields.texts("failures"),
            details=fields.mapping("details"),
        )
