"""How systems stand beside cxrscribe in a group: one row a system and precision, with ratios and words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Final

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import (
    DESCRIPTIONS,
    ENCODER,
    FEATURES,
    FILMS,
    OFFLINE_FEATURES,
    OFFLINE_FILMS,
    ONE_FILM,
    OPENVINO_F32,
    OPENVINO_FREE,
    OURS,
    PADDLE_DYNAMIC,
    PADDLE_INFERENCE,
    PLAIN_ONNX,
    SINGLE_FILMS,
    TORCH_COMPILED,
    TORCH_EAGER,
)
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Quality, Record, TokenCheck
from cxrscribe_bench.results.samples import Estimate, ratio_of_medians

TITLES: Final = {
    OURS: "cxrscribe",
    PADDLE_DYNAMIC: "Paddle, film by film",
    PADDLE_INFERENCE: "Paddle Inference",
    PLAIN_ONNX: "onnxruntime, numpy",
    OPENVINO_F32: "OpenVINO, float32",
    OPENVINO_FREE: "OpenVINO, as it comes",
    TORCH_EAGER: "PyTorch, eager",
    TORCH_COMPILED: "PyTorch, compiled",
}
"""Names of systems for people; `groups.DESCRIPTIONS` says more."""

PEER_GROUPS: Final = {
    OFFLINE_FILMS: "All films at once",
    OFFLINE_FEATURES: "All rows of features at once",
    SINGLE_FILMS: "One film at a time",
    ENCODER: "The encoder alone",
}
"""Groups in which systems are held against each other, and what people call them."""

_SOURCES: Final = {OFFLINE_FILMS: FILMS, OFFLINE_FEATURES: FEATURES, SINGLE_FILMS: ONE_FILM}


@dataclass(frozen=True)
class Standing:
    """One system at one precision beside cxrscribe."""

    measurement: Measurement
    fp32: Measurement | None
    """cxrscribe at fp32."""
    best: Measurement | None
    """cxrscribe at its fastest precision."""
    check: TokenCheck | None
    """Whether it wrote the words of the reference at its precision."""
    quality: Quality | None = None
    """Of our lower precisions: how far their reports are those of fp32."""

    @cached_property
    def fp32_times(self) -> Estimate | None:
        """How many times as fast cxrscribe is at fp32; None for that row itself, or if not measured."""
        return self._times(self.fp32)

    @cached_property
    def best_times(self) -> Estimate | None:
        """The same of cxrscribe at its fastest precision."""
        return self._times(self.best)

    @property
    def system(self) -> str:
        """Name of the system that was measured, one of `groups.DESCRIPTIONS`."""
        return system_of(self.measurement)

    @property
    def title(self) -> str:
        """Its name for people."""
        return TITLES.get(self.system, self.system)

    @property
    def precision(self) -> str:
        """Say `fp32`, `int8`, `as-it-comes`."""
        return precision_of(self.measurement)

    @property
    def is_ours(self) -> bool:
        """Whether it is cxrscribe."""
        return self.system == OURS

    @property
    def is_strict(self) -> bool:
        """Whether it is held to fp32."""
        return self.precision == FP32

    @property
    def seconds(self) -> float:
        """For one report, or one film: by the median."""
        return seconds_per_item(self.measurement)

    @property
    def words(self) -> str:
        """Whether its words are those of fp32, in words; empty where nobody looked."""
        if self.quality is not None:
            others = self.quality.reports - self.quality.identical
            return f"{others:,} of {self.quality.reports:,} differ" if others else "as fp32's"
        if self.check is None:
            return ""
        differing = self.check.reports - self.check.identical
        if not differing:
            return f"all {self.check.reports:,} identical"
        return f"{differing:,} of {self.check.reports:,} differ"

    @property
    def ties(self) -> str:
        """How many of those that differ do so after near ties, in words; empty where none does."""
        return f", {self.check.near_ties:,} after near ties" if self.check and self.check.near_ties else ""

    def _times(self, ours: Measurement | None) -> Estimate | None:
        return None if ours is None or ours is self.measurement else times_as_fast(ours, self.measurement)


@dataclass(frozen=True)
class Standings:
    """A group's systems, fastest first."""

    group: str
    fp32: Standing | None
    """cxrscribe at fp32."""
    best: Standing | None
    """cxrscribe at its fastest precision."""
    rows: tuple[Standing, ...]

    @property
    def title(self) -> str:
        """The group's name for people."""
        return PEER_GROUPS.get(self.group, self.group)

    @property
    def item(self) -> str:
        """What is counted: `report` or `film`."""
        return "film" if self.group == ENCODER else "report"

    @property
    def has_second_track(self) -> bool:
        """Whether anything but fp32 was measured."""
        return self.best is not None and any(not row.is_strict for row in self.rows)


def standings(record: Record, group: str) -> Standings | None:
    """The standings of a group; None where it has no measurement."""
    measurements = sorted(record.group(group), key=seconds_per_item)
    if not measurements:
        return None
    ours = [each for each in measurements if system_of(each) == OURS]
    fp32 = next((each for each in ours if precision_of(each) == FP32), None)
    best = ours[0] if ours else None
    rows = {
        each.name: Standing(each, fp32, best, _check(record, each), _quality(record, each))
        for each in measurements
    }
    return Standings(
        group,
        None if fp32 is None else rows[fp32.name],
        None if best is None else rows[best.name],
        tuple(rows.values()),
    )


def times_as_fast(one: Measurement, other: Measurement) -> Estimate:
    """How many times as many items a second `one` does: of the same rounds where both were in the same."""
    if len(one.seconds) == len(other.seconds) and one.group == other.group:
        return one.times_faster_than(other)
    return ratio_of_medians(
        [value / other.items for value in other.seconds], [value / one.items for value in one.seconds]
    )


def seconds_per_item(measurement: Measurement) -> float:
    """Seconds of one report, film or call, by the median: without the interval, which takes long to find."""
    return median(measurement.seconds) / measurement.items


def system_of(measurement: Measurement) -> str:
    """Whose it is: cxrscribe's where no label says so."""
    return str(measurement.labels.get("system", OURS))


def precision_of(measurement: Measurement) -> str:
    """At which precision: fp32 where no label says so."""
    return str(measurement.labels.get("precision", FP32))


def absent_systems(record: Record) -> dict[str, str]:
    """Systems that weren't measured, by their names for people, and why."""
    return {
        "/".join([TITLES[name.split("/")[0]], *name.split("/")[1:]]): reason
        for name, reason in record.absent.items()
        if name.split("/")[0] in DESCRIPTIONS
    }


def absent_parts(record: Record) -> dict[str, str]:
    """All else that wasn't measured, and why."""
    return {name: reason for name, reason in record.absent.items() if name.split("/")[0] not in DESCRIPTIONS}


def _quality(record: Record, measurement: Measurement) -> Quality | None:
    precision = precision_of(measurement)
    if system_of(measurement) != OURS or precision == FP32 or measurement.group not in _SOURCES:
        return None
    return next((each for each in record.quality if each.precision == precision), None)


def _check(record: Record, measurement: Measurement) -> TokenCheck | None:
    wanted = (system_of(measurement), precision_of(measurement), _SOURCES.get(measurement.group))
    return next(
        (each for each in record.checks if (each.system, each.precision, each.source) == wanted), None
    )
