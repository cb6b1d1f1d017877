"""What a run found of films as large as detectors give them, one line a format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cxrscribe_bench.groups import REAL_SIZES
from cxrscribe_bench.results.capacity import Capacity, capacity
from cxrscribe_bench.results.figures import byte_size, milliseconds, percent
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.results.standings import precision_of, seconds_per_item, times_as_fast


@dataclass(frozen=True)
class Way:
    """From files of one format to text at one precision, as it runs."""

    precision: str
    seconds: float
    """Of one film."""
    of_encoder: Estimate | None
    """Its rate over that of the encoder alone."""
    capacity: Capacity | None
    """What these cores could do."""


@dataclass(frozen=True)
class FormatCosts:
    """One format."""

    name: str
    file_bytes: int | None
    """Of one film, by the mean."""
    read_seconds: float | None
    """Of one film, one after the other."""
    side_by_side_seconds: float | None
    """The same on as many threads as the runtime reads on."""
    ways: tuple[Way, ...]
    """By precision."""


def format_costs(record: Record) -> tuple[FormatCosts, ...]:
    """Of every format that was measured."""
    found = record.group(REAL_SIZES)
    return tuple(_costs(name, found) for name in dict.fromkeys(map(_format, found)) if name)


def costs_table(costs: tuple[FormatCosts, ...]) -> tuple[list[str], list[list[str]]]:
    """Header and rows for people; a dash where something wasn't measured."""
    precisions = list(dict.fromkeys(way.precision for each in costs for way in each.ways))
    header = ["Format", "File", "Reading, ms", "side by side, ms"]
    for precision in precisions:
        header += [f"{precision}: film to text, ms", "of its encoder's rate", "of what these cores could do"]
    rows = [
        [
            each.name,
            "–" if each.file_bytes is None else byte_size(each.file_bytes),
            _ms(each.read_seconds),
            _ms(each.side_by_side_seconds),
            *(cell for precision in precisions for cell in _cells(each, precision)),
        ]
        for each in costs
    ]
    return header, rows


def _cells(costs: FormatCosts, precision: str) -> Iterator[str]:
    way = next((way for way in costs.ways if way.precision == precision), None)
    yield _ms(None if way is None else way.seconds)
    yield "–" if way is None or way.of_encoder is None else percent(way.of_encoder.value)
    yield "–" if way is None or way.capacity is None else percent(way.capacity.share.value)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else milliseconds(seconds)


def _costs(name: str, found: tuple[Measurement, ...]) -> FormatCosts:
    own = [each for each in found if _format(each) == name]
    read, together = _first(own, "read"), _first(own, "read side by side")
    file_bytes = None if read is None else read.labels.get("file_bytes")
    return FormatCosts(
        name,
        file_bytes if isinstance(file_bytes, int) else None,
        None if read is None else seconds_per_item(read),
        None if together is None else seconds_per_item(together),
        tuple(_way(whole, own, found) for whole in own if _stage(whole) == "film to text"),
    )


def _way(whole: Measurement, own: list[Measurement], found: tuple[Measurement, ...]) -> Way:
    precision = precision_of(whole)
    encoder = _first([each for each in found if precision_of(each) == precision], "encode")
    search = _first([each for each in own if precision_of(each) == precision], "search")
    stages = [each for each in (_first(own, "read"), encoder, search) if each is not None]
    return Way(
        precision,
        seconds_per_item(whole),
        None if encoder is None else times_as_fast(whole, encoder),
        capacity(whole, stages) if len(stages) == 3 else None,
    )


def _first(measurements: list[Measurement], stage: str) -> Measurement | None:
    return next((each for each in measurements if _stage(each) == stage), None)


def _stage(measurement: Measurement) -> str:
    return str(measurement.labels.get("stage", ""))


def _format(measurement: Measurement) -> str:
    return str(measurement.labels.get("format", ""))
