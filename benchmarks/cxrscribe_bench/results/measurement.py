"""One thing that was timed, with every raw sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from cxrscribe.json_object import JsonObject
from cxrscribe_bench.results.samples import PERCENTILES, Estimate, median_ratio, percentile

Label: TypeAlias = str | int | float


@dataclass(frozen=True)
class Measurement:
    """Samples of the same thing."""

    group: str
    """What kind of thing: see `groups.py`."""
    name: str
    """Unique in its group, and the same in every run, so that two runs can be compared."""
    seconds: tuple[float, ...]
    """One a round, or one a query. Those of one group that were timed in turn stand in the same order."""
    items: int = 1
    """Reports, films or calls in one sample."""
    labels: Mapping[str, Label] = field(default_factory=dict)
    """What tells it from others of its group: system, source, precision, batch size, ..."""
    words: int | None = None
    """Words written in one sample."""
    steps: int | None = None
    """Calls of the decoder's step in one sample."""
    peak_bytes: int | None = None
    """Most memory in RAM while it ran, of its process."""

    def __post_init__(self) -> None:
        if not self.seconds or self.items < 1:
            raise ValueError(f"measurement {self.group}/{self.name} has no sample, or no item in it")

    @property
    def median(self) -> float:
        """Seconds of the middle sample."""
        return self.percentile(50).value

    @property
    def per_second(self) -> float:
        """Items a second, by the median."""
        return self.items / self.median

    @property
    def words_per_second(self) -> float | None:
        """Words a second, by the median."""
        return None if self.words is None else self.words / self.median

    def percentile(self, percent: float) -> Estimate:
        """Seconds of one sample."""
        return percentile(self.seconds, percent)

    def times_faster_than(self, other: Measurement) -> Estimate:
        """How many times as many items a second as `other`: the median over the rounds that both were in."""
        return median_ratio(
            [value / other.items for value in other.seconds], [value / self.items for value in self.seconds]
        )

    def to_json(self) -> dict[str, Any]:
        """The fields, and what follows from them, as JSON values."""
        return {
            "group": self.group,
            "name": self.name,
            "items": self.items,
            "labels": dict(self.labels),
            "words": self.words,
            "steps": self.steps,
            "peak_bytes": self.peak_bytes,
            "percentiles": {str(each): self.percentile(each).to_json() for each in PERCENTILES},
            "items_per_second": self.per_second,
            "words_per_second": self.words_per_second,
            "seconds": list(self.seconds),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> Measurement:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        fields.skip("percentiles", "items_per_second", "words_per_second")
        return fields.make(
            cls,
            group=fields.text("group"),
            name=fields.text("name"),
            seconds=fields.numbers("seconds"),
            items=fields.integer("items"),
            labels=fields.mapping("labels"),
            words=_integer_or_none(fields, "words"),
            steps=_integer_or_none(fields, "steps"),
            peak_bytes=_integer_or_none(fields, "peak_bytes"),
        )


def _integer_or_none(fields: JsonObject, name: str) -> int | None:
    return None if fields.is_null(name) else fields.integer(name)
