"""A small line plot as inline SVG: points with intervals, and labels at the end of each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from cxrscribe_bench.page.markup import Markup, joined, markup
from cxrscribe_bench.page.scale import Scale
from cxrscribe_bench.results.figures import round_figure
from cxrscribe_bench.results.samples import Estimate

WIDTH: Final = 360
_LEFT, _TOP, _BOTTOM = 52, 22, 34
_Y_STEP: Final = 45
"""Height for each tick, about."""
_LINE: Final = 14.0
"""Height of a line of text."""


@dataclass(frozen=True)
class Line:
    """One line of a plot, by growing x."""

    name: str
    """Empty where there is one line only."""
    points: tuple[tuple[float, Estimate], ...]
    """At least one."""
    tone: int
    """0 for cxrscribe at fp32, and so on: which colour."""


@dataclass(frozen=True)
class Plot:
    """Lines over common axes."""

    title: str
    """What the y axis is."""
    unit: str
    """What the x axis is."""
    lines: tuple[Line, ...]
    x: Scale
    x_ticks: tuple[float, ...]
    y: Scale
    figure: Callable[[float], str]
    """How a y value is written."""
    height: int = 190
    right: float = 64.0
    """Room for the labels at the ends of the lines."""


def draw(plot: Plot, alt: str) -> Markup:
    """The plot. Its size in units is about its size on a screen, so that texts are as large as elsewhere."""
    return markup(
        '<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{alt}">\n'
        '<text class="title" x="0" y="12">{title}</text>\n{axes}\n{lines}\n{labels}\n</svg>',
        width=WIDTH,
        height=plot.height,
        alt=alt,
        title=plot.title,
        axes=_axes(plot),
        lines=joined(_line(plot, line) for line in plot.lines),
        labels=_labels(plot),
    )


def _x(plot: Plot, value: float) -> float:
    return _LEFT + plot.x.place(value) * (WIDTH - _LEFT - plot.right)


def _y(plot: Plot, value: float) -> float:
    return plot.height - _BOTTOM - plot.y.place(value) * (plot.height - _TOP - _BOTTOM)


def _axes(plot: Plot) -> Markup:
    unit = markup(
        '<text x="{x}" y="{y}" class="middle soft">{unit}</text>',
        x=(_LEFT + WIDTH - plot.right) / 2,
        y=plot.height - 3,
        unit=plot.unit,
    )
    shown = _apart([(each, _x(plot, each)) for each in plot.x_ticks])
    return joined(
        [
            *(_y_tick(plot, tick) for tick in plot.y.ticks(plot.height // _Y_STEP)),
            *(_x_tick(plot, tick) for tick in shown),
            unit,
        ]
    )


def _y_tick(plot: Plot, tick: float) -> Markup:
    return markup(
        '<path class="line" d="M{left} {y}H{right}"/><text x="{at}" y="{below}" class="end">{text}</text>',
        left=_LEFT,
        right=WIDTH - plot.right,
        y=f"{_y(plot, tick):.1f}",
        at=_LEFT - 6,
        below=f"{_y(plot, tick) + 4:.1f}",
        text=round_figure(plot.figure(tick)) if tick else "0",
    )


def _x_tick(plot: Plot, tick: float) -> Markup:
    base = plot.height - _BOTTOM
    return markup(
        '<path class="line" d="M{x} {base}v4"/><text x="{x}" y="{below}" class="middle">{text}</text>',
        x=f"{_x(plot, tick):.1f}",
        base=base,
        below=base + 16,
        text=f"{tick:,g}",
    )


def _apart(ticks: Sequence[tuple[float, float]], least: float = 26.0) -> list[float]:
    """The ticks that don't run into the one before; the last one is always kept."""
    kept: list[tuple[float, float]] = []
    for value, place in reversed(ticks):
        if not kept or kept[-1][1] - place >= least:
            kept.append((value, place))
    return [value for value, _ in reversed(kept)]


def _line(plot: Plot, line: Line) -> Markup:
    places = [(_x(plot, x), _y(plot, y.value)) for x, y in line.points]
    upper = [f"{_x(plot, x):.1f},{_y(plot, y.high):.1f}" for x, y in line.points]
    lower = [f"{_x(plot, x):.1f},{_y(plot, y.low):.1f}" for x, y in line.points]
    dots = (Markup(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>') for x, y in places)
    return markup(
        '<g class="tone{tone}"><path class="band" d="M{band}Z"/><path class="curve" d="M{curve}"/>{dots}</g>',
        tone=line.tone,
        band="L".join(upper + lower[::-1]),
        curve="L".join(f"{x:.1f},{y:.1f}" for x, y in places),
        dots=joined(dots),
    )


def _labels(plot: Plot) -> Markup:
    """Names and last values, moved apart where lines end close to each other."""
    ends = sorted(((_y(plot, line.points[-1][1].value), line) for line in plot.lines), key=lambda end: end[0])
    room = _LINE * (2 if any(line.name for _, line in ends) else 1)
    places = [y for y, _ in ends]
    for before, after in pairwise(range(len(places))):
        places[after] = max(places[after], places[before] + room)
    # What was pushed below the axis pushes the others back up.
    below = (places[-1] - (plot.height - _BOTTOM)) if places else 0
    for number in reversed(range(len(places))):
        if below > 0:
            places[number] -= below
            below = (places[number - 1] + room - places[number]) if number else 0
    texts = []
    for y, (_, line) in zip(places, ends, strict=True):
        x, value = line.points[-1]
        texts.append(
            markup(
                '<text class="tone{tone}" x="{x}" y="{y}"><tspan class="strong">{value}</tspan>{name}</text>',
                tone=line.tone,
                x=f"{_x(plot, x) + 8:.1f}",
                y=f"{y + 4:.1f}",
                value=plot.figure(value.value),
                name=markup(
                    '<tspan x="{x}" dy="12">{name}</tspan>', x=f"{_x(plot, x) + 8:.1f}", name=line.name
                )
                if line.name
                else Markup(),
            )
        )
    return joined(texts)
