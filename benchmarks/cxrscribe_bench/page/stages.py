"""Where the time goes from film to text, and how far that is from what the machine could do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import FLOOR, STAGE_NAMES, STAGES
from cxrscribe_bench.page.bars import Bar, Segment, Stack, bar_chart, stack_chart
from cxrscribe_bench.page.markup import Markup, markup, section
from cxrscribe_bench.page.scale import ratio_scale, scale_from_zero
from cxrscribe_bench.results.capacity import capacity_of_stages, stages_at
from cxrscribe_bench.results.figures import duration, interval, milliseconds, percent, times
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.samples import ratio_of_medians
from cxrscribe_bench.results.standings import precision_of, seconds_per_item, times_as_fast

_WHOLE = STAGE_NAMES[-1]
_FLOORS = {
    "encoder products": ("encode", "its matrix products alone"),
    "encoder bytes": ("encode", "reading its bytes alone"),
    "decoder products": ("search", "its matrix products alone"),
    "decoder bytes": ("search", "reading its bytes alone"),
}


def stages(record: Record) -> Markup:
    """The section; empty where no stage was measured."""
    return section(
        "stages",
        "From film to text",
        "Each stage alone, one film after another, milliseconds a film by the median.",
        [_stacks(record), _floor(record)],
    )


def _stacks(record: Record) -> Markup:
    precisions = dict.fromkeys(map(precision_of, record.group(STAGES)))
    stacks = [stack for each in precisions if (stack := _stack(record, each)) is not None]
    if not stacks:
        return Markup()
    ends = [sum(segment.value for segment in stack.segments) for stack in stacks]
    scale = scale_from_zero([*ends, *(stack.whole or 0 for stack in stacks)])
    note = ""
    if any(stack.whole is not None for stack in stacks):
        note = (
            "The mark is film to text as it runs: stages overlap where there are threads for it. What these "
            "cores could do: the core-seconds of all stages over the cores, if no core ever waited."
        )
    return markup(
        '{chart}<p class="fine">{note}</p>',
        chart=stack_chart("Stages from film to text, ms a film", stacks, scale, _tick(scale.high)),
        note=note,
    )


def _stack(record: Record, precision: str) -> Stack | None:
    by_name = stages_at(record.measurements, precision)
    whole = by_name.get(_WHOLE)
    seconds = {name: seconds_per_item(by_name[name]) for name in STAGE_NAMES[:-1] if name in by_name}
    if not seconds:
        return None
    return Stack(
        label=precision,
        segments=tuple(Segment(name, value, f"{milliseconds(value)} ms") for name, value in seconds.items()),
        figure=f"{milliseconds(sum(seconds.values()))} ms",
        note="" if whole is None else _as_it_runs(by_name),
        whole=None if whole is None else seconds_per_item(whole),
    )


def _as_it_runs(by_name: Mapping[str, Measurement]) -> str:
    whole, encoder, could = by_name[_WHOLE], by_name.get("encode"), capacity_of_stages(by_name)
    shares = []
    if encoder is not None:
        shares.append(f"{percent(times_as_fast(whole, encoder).value)} of the encoder's rate alone")
    if could is not None:
        shares.append(
            f"{percent(could.share.value)} ({interval(could.share, percent)}) of what these cores could do, "
            f"{milliseconds(could.seconds)} ms"
        )
    return "; ".join([f"as it runs: {milliseconds(seconds_per_item(whole))} ms", *shares])


def _floor(record: Record) -> Markup:
    bars = [bar for floor in record.group(FLOOR) if (bar := _floor_bar(record, floor)) is not None]
    if not bars:
        return Markup()
    scale = ratio_scale(bound for bar in bars for bound in (bar.value.value, bar.value.low, bar.value.high))
    return markup(
        '<h3>Over the floor</h3><p class="fine">Each stage as a multiple of what this machine could do at '
        "the very least, measured in the same run. 1 would be perfect.</p>{chart}",
        chart=bar_chart("Stages as multiples of the machine's floor", bars, scale, 1, tick=times),
    )


def _floor_bar(record: Record, floor: Measurement) -> Bar | None:
    named = next((name for name in _FLOORS if floor.name.startswith(name)), None)
    if named is None:
        return None
    stage, over = _FLOORS[named]
    precision = str(floor.labels.get("precision", FP32))
    reached = next(
        (each for each in record.group(STAGES) if (_stage(each), precision_of(each)) == (stage, precision)),
        None,
    )
    if reached is None:
        return None
    multiple = ratio_of_medians(
        [value / reached.items for value in reached.seconds], [value / floor.items for value in floor.seconds]
    )
    return Bar(
        label=f"{stage}, over {over}",
        tag=f"{precision}; floor: {duration(seconds_per_item(floor))}",
        value=multiple,
        figure=times(multiple.value),
        note=interval(multiple),
        tone="ours",
    )


def _stage(measurement: Measurement) -> str:
    return str(measurement.labels.get("stage", measurement.name))


def _tick(high: float) -> Callable[[float], str]:
    return duration if high >= 1 else lambda seconds: f"{milliseconds(seconds)} ms"
