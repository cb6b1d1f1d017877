"""Horizontal bars with whiskers, as HTML: their texts keep their size on every screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cxrscribe_bench.page.markup import Markup, joined, markup
from cxrscribe_bench.page.scale import Scale
from cxrscribe_bench.results.figures import round_figure, significant
from cxrscribe_bench.results.samples import Estimate

_EDGE: Final = 0.03


@dataclass(frozen=True)
class Bar:
    """One row."""

    label: str
    value: Estimate
    figure: str
    """The value in words."""
    note: str = ""
    """Its interval, say."""
    tag: str = ""
    """Beside the label, smaller: the precision, say."""
    tone: str = "ours"
    """A class of style.css: `ours`, `self`, `best`, `peer`, `even`, `ahead`, `slower`, `met`, `missed`."""


@dataclass(frozen=True)
class Segment:
    """A part of a stacked bar."""

    name: str
    value: float
    figure: str


@dataclass(frozen=True)
class Stack:
    """A bar of parts, one after another, and what may be set against their sum."""

    label: str
    segments: tuple[Segment, ...]
    figure: str
    """The sum, in words."""
    note: str = ""
    tag: str = ""
    whole: float | None = None
    """What all of it took together: a mark on the bar."""


def bar_chart(
    alt: str,
    bars: Sequence[Bar],
    scale: Scale,
    origin: float,
    ends: tuple[str, str] = ("", ""),
    tick: Callable[[float], str] = significant,
    kind: str = "",
) -> Markup:
    """Bars from `origin` to each value; `ends` say what it means to be left and right of the origin.

    `kind` is one more class of style.css: `above` for long labels.
    """
    rows = (
        row(
            bar.label,
            bar.tag,
            joined([_grid(scale, origin), _bar(bar, scale, origin)]),
            bar.figure,
            bar.note,
            bar.tone,
        )
        for bar in bars
    )
    return chart(alt, joined([*rows, axis(scale, tick, ends)]), kind)


def stack_chart(alt: str, stacks: Sequence[Stack], scale: Scale, tick: Callable[[float], str]) -> Markup:
    """Stacked bars; what each part is and takes stands under its bar, so that narrow parts are named too."""
    rows = []
    for stack in stacks:
        begin, pieces, keys = 0.0, [], []
        for number, segment in enumerate(stack.segments):
            place = scale.place(begin)
            begin += segment.value
            pieces.append(_span(f"bar part{number}", place, scale.place(begin)))
            keys.append(
                markup(
                    '<li><i class="swatch part{number}"></i>{name} <b>{figure}</b></li>',
                    number=number,
                    name=segment.name,
                    figure=segment.figure,
                )
            )
        if stack.whole is not None:
            pieces.append(_mark("whole", scale.place(stack.whole)))
        parts = joined([_grid(scale, None), *pieces])
        rows.append(row(stack.label, stack.tag, parts, stack.figure, stack.note, "stack"))
        if len(keys) > 1:
            rows.append(markup('<ul class="keys">{keys}</ul>', keys=joined(keys)))
    return chart(alt, joined([*rows, axis(scale, tick)]))


def chart(alt: str, rows: Markup, kind: str = "") -> Markup:
    """A figure of rows; `kind` is one more class of style.css."""
    return markup(
        '<figure class="chart {kind}" aria-label="{alt}">\n{rows}\n</figure>', kind=kind, alt=alt, rows=rows
    )


def row(label: str, tag: str, track: Markup, figure: str | Markup, note: str, tone: str) -> Markup:
    """A row of a chart: its name, its track, its figure."""
    return markup(
        '<div class="row {tone}"><div class="label">{label}{tag}</div><div class="track">{track}</div>'
        '<div class="figure"><b>{figure}</b>{note}</div></div>',
        tone=tone,
        label=label,
        tag=_small(tag),
        track=track,
        figure=figure,
        note=_small(note),
    )


def axis(scale: Scale, tick: Callable[[float], str], ends: tuple[str, str] = ("", "")) -> Markup:
    """The last row: round values, and what the two directions mean."""
    ticks = (_tick(scale.place(each), round_figure(tick(each)) if each else "0") for each in scale.ticks())
    words = Markup()
    if any(ends):
        words = markup(
            '<div class="ends"><span>{left}</span><span>{right}</span></div>', left=ends[0], right=ends[1]
        )
    return markup(
        '<div class="row axis" aria-hidden="true"><div class="label"></div><div class="track">{ticks}{words}'
        '</div><div class="figure"></div></div>',
        ticks=joined(ticks),
        words=words,
    )


def _tick(place: float, text: str) -> Markup:
    # Where nothing stands beside the track, texts at its ends are set flush with it, so that none is clipped.
    side = "start" if place < _EDGE else "stop" if place > 1 - _EDGE else ""
    return markup(
        '<span class="{side}" style="left:{place}%">{text}</span>',
        side=side,
        place=_percent(place),
        text=text,
    )


def _grid(scale: Scale, origin: float | None) -> Markup:
    lines = (_mark("line", scale.place(each)) for each in scale.ticks() if each != origin)
    return joined([*lines, _mark("origin", scale.place(origin)) if origin is not None else Markup()])


def _bar(bar: Bar, scale: Scale, origin: float) -> Markup:
    start, end = sorted((scale.place(origin), scale.place(bar.value.value)))
    parts = [_span("bar", start, end)]
    if not bar.value.is_exact:
        parts.append(_span("whisker", scale.place(bar.value.low), scale.place(bar.value.high)))
    return joined(parts)


def _span(kind: str, start: float, end: float) -> Markup:
    return markup(
        '<i class="{kind}" style="left:{start}%;width:{width}%"></i>',
        kind=kind,
        start=_percent(start),
        width=_percent(end - start),
    )


def _mark(kind: str, place: float) -> Markup:
    return markup('<i class="{kind}" style="left:{place}%"></i>', kind=kind, place=_percent(place))


def _small(text: str) -> Markup:
    return markup(" <small>{text}</small>", text=text) if text else Markup()


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
