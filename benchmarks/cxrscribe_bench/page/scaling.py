"""How time and memory grow: one pair of small plots for each variable."""

from __future__ import annotations

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import OURS, SCALING
from cxrscribe_bench.page.markup import Markup, joined, markup, section
from cxrscribe_bench.page.plot import Line, Plot, draw
from cxrscribe_bench.page.scale import Scale, scale_from_zero, spread_scale
from cxrscribe_bench.results.figures import byte_size, duration
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.results.standings import TITLES, precision_of, system_of

_TITLES = {
    "films": "Films in one run",
    "batch": "Batch size",
    "batch_size": "Batch size",
    "beam": "Beam width",
    "beam_width": "Beam width",
    "length": "Length of the report",
    "vocabulary": "Words in the vocabulary",
    "threads": "Threads",
    "side": "Side of the film",
    "film_size": "Longer side of the film",
}
_LETTER = 6.2
"""Width of a letter of a label, about."""
_LEAST_ROOM = 64.0
"""For a figure at the end of a line."""
_WIDE = 12.0
"""From here on, times are drawn on a logarithmic axis; below, from zero."""


def scaling(record: Record) -> Markup:
    """The section; empty where nothing was varied."""
    prefix = f"{SCALING}/"
    variables = dict.fromkeys(
        each.group.removeprefix(prefix) for each in record.measurements if each.group.startswith(prefix)
    )
    cards = joined(_card(variable, record.group(prefix + variable)) for variable in variables)
    return section(
        "scaling",
        "How it scales",
        "Time for one report (median, band: 95 % interval) and the process' peak memory, as one thing is "
        "varied and all else stays. The figure at the end of a line is its last value.",
        [markup('<div class="multiples">\n{cards}\n</div>', cards=cards)] if cards else [],
    )


def _card(variable: str, measurements: tuple[Measurement, ...]) -> Markup:
    usable = [each for each in measurements if isinstance(each.labels.get("x"), int | float)]
    if not usable:
        return Markup()
    title = _TITLES.get(variable, variable)
    unit = str(usable[0].labels.get("unit", variable))
    values = tuple(sorted({_at(each) for each in usable}))
    x = spread_scale(values)
    # The variable's own values are the ticks, as long as there are few of them.
    ticks = values if len(values) <= 9 else x.ticks()
    times = _lines(usable, {each.name: _time(each) for each in usable})
    peaks = _lines(usable, {each.name: _peak(each) for each in usable if each.peak_bytes})
    right = max(_LEAST_ROOM, *(_LETTER * len(line.name) + 12 for line in times))
    time = Plot("time per report", unit, times, x, ticks, _y_scale(times), duration, right=right)
    plots = [draw(time, f"{title}: time per report against {unit}")]
    if peaks:
        memory = Plot(
            "peak memory", unit, peaks, x, ticks, _y_scale(peaks), byte_size, height=150, right=right
        )
        plots.append(draw(memory, f"{title}: peak memory against {unit}"))
    return markup('<div class="panel"><h4>{title}</h4>\n{plots}\n</div>', title=title, plots=joined(plots))


def _lines(measurements: list[Measurement], values: dict[str, Estimate]) -> tuple[Line, ...]:
    keys = dict.fromkeys((system_of(each), precision_of(each)) for each in measurements)
    lines = []
    for number, key in enumerate(sorted(keys, key=lambda key: (key[0] != OURS, key[1] != FP32))):
        points = tuple(
            (_at(each), values[each.name])
            for each in sorted(measurements, key=_at)
            if (system_of(each), precision_of(each)) == key and each.name in values
        )
        if points:
            lines.append(Line(_name(*key) if len(keys) > 1 else "", points, number % 5))
    return tuple(lines)


def _name(system: str, precision: str) -> str:
    return precision if system == OURS else f"{TITLES.get(system, system)}"


def _at(measurement: Measurement) -> float:
    return float(measurement.labels["x"])


def _time(measurement: Measurement) -> Estimate:
    seconds, items = measurement.percentile(50), measurement.items
    return Estimate(seconds.value / items, seconds.low / items, seconds.high / items)


def _peak(measurement: Measurement) -> Estimate:
    value = float(measurement.peak_bytes or 0)
    return Estimate(value, value, value)


def _y_scale(lines: tuple[Line, ...]) -> Scale:
    values = [bound for line in lines for _, y in line.points for bound in (y.value, y.low, y.high)]
    return spread_scale(values, 1.15) if max(values) > _WIDE * min(values) else scale_from_zero(values)
