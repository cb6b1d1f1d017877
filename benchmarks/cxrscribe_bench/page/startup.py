"""What the first report costs in a fresh process."""

from __future__ import annotations

from statistics import median

from cxrscribe_bench.groups import STARTUP
from cxrscribe_bench.page.bars import Segment, Stack, stack_chart
from cxrscribe_bench.page.markup import Markup, section
from cxrscribe_bench.page.scale import scale_from_zero
from cxrscribe_bench.results.figures import byte_size, duration
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record

_POINTS = ("import", "load", "report")
_STARTS = {
    "empty": "python -c pass",
    "off": "no cache",
    "cold": "first load, fills the cache",
    "warm": "from the second load on",
}


def startup(record: Record) -> Markup:
    """The section; empty where no start was measured."""
    starts: dict[str, list[Measurement]] = {}
    for each in record.group(STARTUP):
        starts.setdefault(str(each.labels.get("start", each.name)), []).append(each)
    stacks = [_stack(name, points) for name, points in starts.items()]
    scale = scale_from_zero(sum(part.value for part in stack.segments) for stack in stacks)
    return section(
        "startup",
        "The first report",
        "Seconds from the start of a fresh process, by the median of several, and its peak memory.",
        [stack_chart("Time to the first report, by start", stacks, scale, duration)] if stacks else [],
    )


def _stack(start: str, points: list[Measurement]) -> Stack:
    """Points count from the start of the process: the parts of the bar are what lies between them."""
    points = sorted(points, key=_order)
    segments, before = [], 0.0
    for point in points:
        seconds = median(point.seconds)
        # An empty process has all its points at once.
        if seconds > before:
            segments.append(Segment(_point(point), seconds - before, duration(seconds - before)))
        before = max(before, seconds)
    peak = max((point.peak_bytes or 0 for point in points), default=0)
    return Stack(
        label=_STARTS.get(start, start),
        tag=start if start in _STARTS else "",
        segments=tuple(segments),
        figure=duration(before),
        note=byte_size(peak) if peak else "",
    )


def _order(measurement: Measurement) -> tuple[int, float]:
    point = _point(measurement)
    return _POINTS.index(point) if point in _POINTS else len(_POINTS), median(measurement.seconds)


def _point(measurement: Measurement) -> str:
    return str(measurement.labels.get("point", measurement.name))
