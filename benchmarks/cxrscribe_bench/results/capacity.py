"""What the machine could do from film to text if none of its cores ever waited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import CORES, STAGE_NAMES, STAGES
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.samples import Estimate, median_ratio


@dataclass(frozen=True)
class Capacity:
    """The stages of one way to text, each measured alone, beside the whole as it runs."""

    seconds: float
    """For one film, if all cores were busy all the time: the core-seconds of its stages over the cores."""
    share: Estimate
    """How much of that rate is reached."""


def capacity(whole: Measurement, stages: Sequence[Measurement]) -> Capacity | None:
    """Of `whole` and all of its `stages`, which were timed in the same rounds.

    A stage's core-seconds are its time alone times the cores that it keeps busy then: one for reading, one a
    thread for the network. None where they don't say how many, as on a GPU, or weren't in the same rounds.
    """
    rounds = len(whole.seconds)
    cores = _cores(whole)
    if not stages or not cores or any(not _cores(each) or len(each.seconds) != rounds for each in stages):
        return None
    least = [
        sum(each.seconds[number] / each.items * _cores(each) for each in stages) / cores
        for number in range(rounds)
    ]
    return Capacity(median(least), median_ratio(least, [value / whole.items for value in whole.seconds]))


def stages_at(measurements: Iterable[Measurement], precision: str) -> dict[str, Measurement]:
    """The group STAGES at one precision, by the names of its stages; those that were measured."""
    found = {
        str(each.labels.get("stage", each.name)): each
        for each in measurements
        if each.group == STAGES and each.labels.get("precision", FP32) == precision
    }
    return {name: found[name] for name in STAGE_NAMES if name in found}


def capacity_of_stages(found: Mapping[str, Measurement]) -> Capacity | None:
    """What `stages_at` found could reach; None where one of them is missing."""
    if len(found) < len(STAGE_NAMES):
        return None
    *parts, whole = (found[name] for name in STAGE_NAMES)
    return capacity(whole, parts)


def _cores(measurement: Measurement) -> float:
    cores = measurement.labels.get(CORES, 0)
    return cores if isinstance(cores, int | float) else 0
