"""What has changed from one run to another, where noise and the machine's own speed are allowed for."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import geometric_mean, median
from typing import Any, Final, TypeVar

from cxrscribe.errors import InputError
from cxrscribe_bench.groups import FLOOR, OURS, SINGLE_FILMS
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record, ScenarioResult, TokenCheck
from cxrscribe_bench.results.samples import (
    CONFIDENCE,
    Estimate,
    below_doubt,
    blocks,
    doubt,
    ratio_of_products,
)

TOLERANCE: Final = 0.05
"""Relative change that nobody need know of."""
FEWEST_SAMPLES: Final = 5
"""Of fewer, three would be left when those at both ends are cut off: too few to tell their spread."""
LEAST_MORE_BYTES: Final = 5_000_000
"""Below that, a peak says more of the allocator than of the program."""
_OFFLINE: Final = "Offline"
_ENCODER_FLOOR: Final = "encoder "

Samples = tuple[float, ...]
Measured = Iterable[tuple[Measurement, Measurement]]
Item = TypeVar("Item")


class Verdict(StrEnum):
    """What can be said of one figure, worst first."""

    SLOWER = "slower"
    UNCLEAR = "unclear"
    TOO_FEW = "too few samples"
    FASTER = "faster"
    UNCHANGED = "unchanged"


@dataclass(frozen=True)
class TimeChange:
    """One figure that both runs have."""

    name: str
    ours: bool
    """Whether it is cxrscribe that was timed; a peer's change is no regression."""
    old: float
    """Median seconds an item."""
    new: float
    change: Estimate
    """Of `new` over `old`, in multiples of the floor of the same run where there is a `machine`."""
    samples: int
    """Of the run that has fewer."""
    verdict: Verdict


@dataclass(frozen=True)
class Change:
    """Two numbers of which nobody knows how noisy they are."""

    name: str
    old: float
    new: float

    @property
    def ratio(self) -> float:
        """New over old."""
        return self.new / self.old if self.old else math.nan


@dataclass(frozen=True)
class Comparison:
    """A new run held against an old one."""

    tolerance: float
    differences: tuple[str, ...]
    """Why the two can't be compared strictly."""
    other_settings: tuple[str, ...]
    """Of scenarios whose latencies are not compared for that."""
    machine: Estimate | None
    """The machine's own change of time, by the floors; None where these can't be held together."""
    times: tuple[TimeChange, ...]
    """Worst first."""
    more_memory: tuple[Change, ...]
    """Peaks in bytes that have grown too much."""
    metrics: tuple[Change, ...]
    """What LoadGen reports of its scenarios, in its own units."""
    drifted: tuple[str, ...]
    """Required token checks that fail in the new run."""
    failed: tuple[str, ...]
    """What of our own runtime failed in the new run."""
    invalid: tuple[str, ...]
    """Scenarios that were valid and are not any more."""
    missing: tuple[str, ...]
    """What only the old run has."""
    added: tuple[str, ...]
    """What only the new run has."""

    def of(self, verdict: Verdict, *, ours: bool = True) -> tuple[TimeChange, ...]:
        """Figures of this verdict, of cxrscribe or of peers."""
        return tuple(each for each in self.times if each.verdict is verdict and each.ours is ours)

    @property
    def has_regression(self) -> bool:
        """Whether cxrscribe is slower, takes more memory, writes other words, or fails a scenario."""
        bad = (self.of(Verdict.SLOWER), self.more_memory, self.drifted, self.failed, self.invalid)
        return any(bad)


def compare(old: Record, new: Record, tolerance: float = TOLERANCE) -> Comparison:
    """Hold a run against an older one.

    A figure is slower or faster only where its interval is beyond the tolerance and where it is still so when
    all figures of ours are allowed for (at CONFIDENCE that none is wrong). Raises InputError where a time is
    not above 0, nothing is in both, or `tolerance` is not from 0 to below 1.
    """
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; give a share from 0 to below 1, say 0.05")
    measurements = _both(old.measurements, new.measurements, lambda each: (each.group, each.name))
    scenarios = _both(old.scenarios, new.scenarios, _scenario_name)
    checks = _both(old.checks, new.checks, lambda each: f"token check {_check_name(each)}")
    if not measurements.pairs and not scenarios.pairs:
        raise InputError("the two records have no figure in common; compare runs of the same kind")
    alike = [(before, now) for before, now in scenarios.pairs if _asked(before) == _asked(now)]
    floors = _floors(old, new)
    ours_and_peers = [pair for pair in measurements.pairs if pair[0].group != FLOOR]
    latencies = [(_latency(before), _latency(now)) for before, now in alike]
    return Comparison(
        tolerance=tolerance,
        differences=tuple(_changed(_identity(old), _identity(new))),
        other_settings=tuple(
            f"{_scenario_name(now)}: {each}"
            for before, now in scenarios.pairs
            for each in _changed(_asked(before), _asked(now))
        ),
        machine=None if floors is None else ratio_of_products([floors[1]], [floors[0]]),
        times=tuple(_verdicts([*ours_and_peers, *latencies], floors, tolerance)),
        more_memory=tuple(_more_memory(ours_and_peers, tolerance)),
        metrics=tuple(
            Change(f"{_scenario_name(now)}: {now.metric}", before.metric_value, now.metric_value)
            for before, now in scenarios.pairs
            if before.metric == now.metric
        ),
        drifted=tuple(f"{_check_name(each)}: {each.identical} of {each.reports}" for each in new.drifted),
        failed=new.failures,
        invalid=tuple(
            _scenario_name(now) for before, now in scenarios.pairs if before.is_valid and not now.is_valid
        ),
        missing=tuple(_shown(key) for each in (measurements, scenarios, checks) for key in each.missing),
        added=tuple(_shown(key) for each in (measurements, scenarios, checks) for key in each.added),
    )


def _asked(scenario: ScenarioResult) -> dict[str, float]:
    """Its settings, without the pace that LoadGen was told to reckon with, which is measured anew."""
    return {name: value for name, value in scenario.settings.items() if "_expected_" not in name}


@dataclass(frozen=True)
class _Both:
    """What two runs have, put together by keys."""

    pairs: list[tuple[Any, Any]]
    missing: list[Hashable]
    added: list[Hashable]


def _both(old: Iterable[Item], new: Iterable[Item], key: Callable[[Item], Hashable]) -> _Both:
    before, now = ({key(each): each for each in several} for several in (old, new))
    return _Both(
        [(before[each], now[each]) for each in before if each in now],
        [each for each in before if each not in now],
        [each for each in now if each not in before],
    )


def _identity(run: Record) -> Mapping[str, object]:
    """What two runs have to have in common."""
    threads = run.environment.get("threads")
    known = {"processor": run.environment.get("processor"), "threads of the process": threads}
    return {"bundle sha256": run.bundle.get("sha256"), **known, **_flat(run.options)}


def _flat(options: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in options.items():
        parts = value if isinstance(value, Mapping) else {None: value}
        flat |= {name if key is None else f"{name}.{key}": each for key, each in parts.items()}
    return flat


def _changed(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return [f"{name}: {old.get(name, 'not given')} -> {new.get(name, 'not given')}" for name in names]


def _floors(old: Record, new: Record) -> tuple[Samples, Samples] | None:
    """Of each round of both runs the geometric mean of the floors; None where they can't be held together.

    Only the encoder's: the decoder's are at the rows that our search takes, and grow where it gets worse.
    """
    if _work_of_floor(old) != _work_of_floor(new):
        return None
    pairs = _both(old.group(FLOOR), new.group(FLOOR), lambda each: each.name).pairs
    runs = zip(*(pair for pair in pairs if pair[0].name.startswith(_ENCODER_FLOOR)), strict=True)
    rounds = [zip(*map(_each_item, floors), strict=False) for floors in runs]
    samples = [tuple(map(geometric_mean, each)) for each in rounds]
    return (samples[0], samples[1]) if samples and min(map(len, samples)) >= FEWEST_SAMPLES else None


def _work_of_floor(record: Record) -> tuple[object, ...]:
    return record.bundle.get("sha256"), record.environment.get("threads"), record.options.get("threads")


def _latency(result: ScenarioResult) -> Measurement:
    """Of each query; but Offline's are issued all at once and answered in turn: that is one sample in all."""
    at_once = result.scenario == _OFFLINE or not result.seconds
    seconds = (result.duration / max(result.reports, 1),) if at_once else result.seconds
    return Measurement("scenario", _scenario_name(result), seconds)


def _each_item(measurement: Measurement) -> Samples:
    wrong = [value for value in measurement.seconds if not (value > 0 and math.isfinite(value))]
    if wrong:
        raise InputError(
            f"{_name(measurement)} has a time of {wrong[0]} seconds; the record is damaged, measure again"
        )
    return tuple(value / measurement.items for value in measurement.seconds)


def _verdicts(
    pairs: Sequence[tuple[Measurement, Measurement]],
    floors: tuple[Samples, Samples] | None,
    tolerance: float,
) -> list[TimeChange]:
    """Peers are judged apart from ours: how many of them there are shall not blunt our verdicts."""
    changes, limit, level = [], 1 + tolerance, 1 - CONFIDENCE
    for ours in (True, False):
        several = [pair for pair in pairs if _is_ours(pair[1]) is ours]
        factors = [_factors(*pair, floors) for pair in several]
        enough = [min(map(len, (*above, *below))) >= FEWEST_SAMPLES for above, below in factors]
        judged = [each for each, is_enough in zip(factors, enough, strict=True) if is_enough]
        slower = iter(below_doubt([doubt(above, below, limit) for above, below in judged], level))
        faster = iter(below_doubt([doubt(below, above, limit) for above, below in judged], level))
        for (old, new), (above, below), is_enough in zip(several, factors, enough, strict=True):
            change = ratio_of_products(above, below)
            verdict = Verdict.TOO_FEW
            if is_enough:
                verdict = _verdict(change, tolerance, slower=next(slower), faster=next(faster))
            before, now = median(_each_item(old)), median(_each_item(new))
            count = min(len(old.seconds), len(new.seconds))
            changes.append(TimeChange(_name(new), ours, before, now, change, count, verdict))
    order = list(Verdict)
    return sorted(changes, key=lambda each: (not each.ours, order.index(each.verdict), -each.change.value))


def _verdict(change: Estimate, tolerance: float, *, slower: bool, faster: bool) -> Verdict:
    """`slower`, `faster`: whether that is to be believed beside all other figures."""
    least, most = 1 / (1 + tolerance), 1 + tolerance
    if slower and change.low > most:
        return Verdict.SLOWER
    if faster and change.high < least:
        return Verdict.FASTER
    return Verdict.UNCHANGED if least <= change.low and change.high <= most else Verdict.UNCLEAR


def _factors(
    old: Measurement, new: Measurement, floors: tuple[Samples, Samples] | None
) -> tuple[list[Samples], list[Samples]]:
    """What the change is the product of, and what that is divided by.

    Films that were reported on one by one stand in the same order: film by film their differences cancel out.
    """
    before, now = _each_item(old), _each_item(new)
    above, below = [blocks(now)], [blocks(before)]
    if new.group == SINGLE_FILMS and len(before) == len(now):
        above, below = [blocks([mine / past for mine, past in zip(now, before, strict=True)])], []
    return (above, below) if floors is None else ([*above, floors[0]], [*below, floors[1]])


def _more_memory(pairs: Measured, tolerance: float) -> Iterable[Change]:
    for before, now in pairs:
        if before.peak_bytes and now.peak_bytes and _is_ours(now):
            more = now.peak_bytes - before.peak_bytes
            if more > max(LEAST_MORE_BYTES, tolerance * before.peak_bytes):
                yield Change(_name(now), before.peak_bytes, now.peak_bytes)


def _name(measurement: Measurement) -> str:
    return f"{measurement.group} {measurement.name}"


def _is_ours(measurement: Measurement) -> bool:
    return measurement.labels.get("system", OURS) == OURS


def _scenario_name(result: ScenarioResult) -> str:
    return f"{result.scenario} {result.source} {result.precision}"


def _check_name(check: TokenCheck) -> str:
    return f"{check.system} {check.source} {check.precision} as {check.reference}"


def _shown(key: Hashable) -> str:
    return " ".join(key) if isinstance(key, tuple) else str(key)
