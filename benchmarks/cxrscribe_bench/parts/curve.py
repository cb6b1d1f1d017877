"""How time and memory go with one variable: points that are measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any, Final, TypeAlias

from cxrscribe import DecodingStats
from cxrscribe.errors import CxrscribeError
from cxrscribe_bench.groups import scaling
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.timing.worker import Reply, Worker
from cxrscribe_bench.workload import Workload

Failed: TypeAlias = Callable[[str, str], None]
"""Called with the name of a point, `<group>/<name>`, and why there is none."""
OpenWorker: TypeAlias = Callable[["Point"], Worker]

_FEWEST_ROUNDS: Final = 2


@dataclass(frozen=True)
class Point:
    """One value of the variable, and the call that is timed."""

    x: int
    workload: Workload
    """What its worker is opened with; points of the same workload share one."""
    method: str
    """Of the worker's subject; gives DecodingStats."""
    arguments: tuple[Any, ...]
    items: int
    """Reports that one call gives."""


@dataclass(frozen=True)
class Curve:
    """All points of one variable."""

    variable: str
    unit: str
    """Of x: `films`, `px`, ..."""
    precision: str
    points: tuple[Point, ...]

    @property
    def group(self) -> str:
        """Of its measurements."""
        return scaling(self.variable)


@dataclass
class _Found:
    point: Point
    peak_bytes: int
    stats: DecodingStats
    seconds: list[float] = field(default_factory=list)


def measured(
    curve: Curve, open_worker: OpenWorker, rounds: int, seconds: float, failed: Failed
) -> Iterator[Measurement]:
    """A Measurement of each point that can be measured, with as many samples as rounds were done.

    First each point is called once, by rising x. That warms up, and tells its memory: points that share a
    worker then find what smaller ones took, which they need too, never what a larger one left behind. (So a
    curve of points that share one can't fall.) Then there are `rounds` rounds of all points, but no third or
    later one begins after `seconds`: of two samples at least something is known about their spread.
    """
    workers = _Workers(open_worker)
    try:
        found = list(_warmed_up(curve, workers, failed))
        started = perf_counter()
        for number in range(rounds):
            if number >= _FEWEST_ROUNDS and perf_counter() - started > seconds:
                break
            for each in tuple(found):
                reply = _tried(curve, each.point, partial(workers.call, each.point), failed)
                if reply is None:
                    found.remove(each)
                else:
                    each.seconds.append(reply.seconds)
    finally:
        workers.close()
    for each in found:
        yield _measurement(curve, each)


class _Workers:
    """One for each workload, opened when it is first called; one that has failed is opened anew."""

    def __init__(self, open_worker: OpenWorker) -> None:
        self._open = open_worker
        self._opened: dict[Workload, Worker] = {}

    def call(self, point: Point) -> Reply:
        """Raises CxrscribeError."""
        worker = self._opened.get(point.workload)
        if worker is None:
            worker = self._opened[point.workload] = self._open(point)
        try:
            return worker.call(point.method, *point.arguments)
        except CxrscribeError:
            self._opened.pop(point.workload).close()
            raise

    def close(self) -> None:
        for worker in self._opened.values():
            worker.close()


def _warmed_up(curve: Curve, workers: _Workers, failed: Failed) -> Iterator[_Found]:
    for point in sorted(curve.points, key=lambda point: point.x):
        reply = _tried(curve, point, partial(workers.call, point), failed)
        if reply is not None:
            yield _Found(point, reply.peak_bytes, reply.value)


def _tried(curve: Curve, point: Point, call: Callable[[], Reply], failed: Failed) -> Reply | None:
    try:
        return call()
    except CxrscribeError as error:
        failed(f"{curve.group}/{_name(curve, point)}", str(error))
        return None


def _measurement(curve: Curve, found: _Found) -> Measurement:
    point = found.point
    labels: Mapping[str, str | int] = {"x": point.x, "unit": curve.unit, "precision": curve.precision}
    return Measurement(
        curve.group,
        _name(curve, point),
        tuple(found.seconds),
        items=point.items,
        labels=labels,
        words=found.stats.words,
        steps=found.stats.steps,
        peak_bytes=found.peak_bytes or None,
    )


def _name(curve: Curve, point: Point) -> str:
    return f"{curve.precision} {point.x}"
