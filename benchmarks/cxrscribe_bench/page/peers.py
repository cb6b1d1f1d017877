"""cxrscribe and its peers: ratios as bars in two tracks, and all figures in a table under them."""

from __future__ import annotations

from cxrscribe_bench.groups import DESCRIPTIONS, ENCODER
from cxrscribe_bench.page.bars import Bar, bar_chart
from cxrscribe_bench.page.markup import Markup, joined, markup, section, table
from cxrscribe_bench.page.scale import Scale, ratio_scale
from cxrscribe_bench.results.figures import byte_size, interval, milliseconds, significant, times
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.results.standings import (
    PEER_GROUPS,
    TITLES,
    Standing,
    Standings,
    absent_systems,
    standings,
)


def peers(record: Record) -> Markup:
    """The section; empty where no group of peers was measured."""
    found = [each for group in PEER_GROUPS if (each := standings(record, group)) is not None]
    parts = [_group(each) for each in found]
    if found:
        parts.append(_systems(found, record))
    return section(
        "peers",
        "Beside other systems",
        "How many times as fast cxrscribe is as each of them, by the median over rounds that both were in. "
        "The thick line is 1: as fast. To its left, the other one is faster. Thin lines are 95 % intervals.",
        parts,
    )


def _group(group: Standings) -> Markup:
    strict = [_bar(row, ratio) for row in group.rows if row.is_strict and (ratio := row.fp32_times)]
    free = [_bar(row, ratio) for row in group.rows if group.has_second_track and (ratio := row.best_times)]
    # One scale for both tracks, so that they can be read side by side.
    scale = ratio_scale(
        bound for bar in strict + free for bound in (bar.value.value, bar.value.low, bar.value.high)
    )
    tracks = []
    if strict and group.fp32:
        tracks.append(_track(group, group.fp32, "Strict: all at fp32", "strict", strict, scale))
    if free and group.best:
        title = "Free: each at the precision it comes with"
        tracks.append(_track(group, group.best, title, "free", free, scale))
    return joined(
        [
            markup("<h3>{title} <small>{group}</small></h3>", title=group.title, group=group.group),
            markup('<div class="panels">\n{tracks}\n</div>', tracks=joined(tracks)) if tracks else Markup(),
            _table(group),
        ]
    )


def _track(group: Standings, ours: Standing, title: str, tone: str, bars: list[Bar], scale: Scale) -> Markup:
    return markup(
        '<div class="panel {tone}"><h4>{title}</h4><p class="fine">1 is cxrscribe at {precision}: '
        "<b>{rate}</b> {item}s/s</p>{chart}</div>",
        tone=tone,
        title=title,
        precision=ours.precision,
        rate=significant(1 / ours.seconds),
        item=group.item,
        chart=bar_chart(
            f"{group.title}, {title}: how many times as fast cxrscribe is",
            bars,
            scale,
            1,
            ("← it is faster", "cxrscribe is faster →"),
            times,
        ),
    )


def _bar(row: Standing, ratio: Estimate) -> Bar:
    return Bar(
        label=row.title,
        tag=row.precision,
        value=ratio,
        figure=times(ratio.value),
        note=interval(ratio),
        tone=_tone(row, ratio),
    )


def _tone(row: Standing, ratio: Estimate) -> str:
    if row.is_ours:
        return "self"
    if ratio.low <= 1 <= ratio.high:
        return "even"
    return "ours" if ratio.value > 1 else "ahead"


def _table(group: Standings) -> Markup:
    header = [
        "System",
        "Precision",
        f"{group.item}s/s",
        f"ms/{group.item}",
        "cxrscribe fp32 is",
        *([f"cxrscribe {group.best.precision} is"] if group.has_second_track and group.best else []),
        *([] if group.group == ENCODER else ["Words"]),
        "Peak memory",
    ]
    rows = []
    for row in group.rows:
        peak = row.measurement.peak_bytes
        rows.append(
            [
                markup("<b>{title}</b>", title=row.title) if row.is_ours else row.title,
                row.precision,
                significant(1 / row.seconds),
                milliseconds(row.seconds),
                _ratio(row.fp32_times),
                *([_ratio(row.best_times)] if group.has_second_track and group.best else []),
                *([] if group.group == ENCODER else [row.words + row.ties or "not compared"]),
                byte_size(peak) if peak else "–",
            ]
        )
    numbers = (2, 3, 4, *((5,) if group.has_second_track else ()), len(header) - 1)
    return table(
        f"{group.title}: all figures, fastest first. Ratios: how many times as fast cxrscribe is",
        header,
        rows,
        numbers,
    )


def _ratio(ratio: Estimate | None) -> Markup:
    if ratio is None:
        return Markup("1")
    return markup("{value} <small>{bounds}</small>", value=times(ratio.value), bounds=interval(ratio))


def _systems(found: list[Standings], record: Record) -> Markup:
    measured = {row.system for group in found for row in group.rows}
    entries = [
        markup("<dt>{title}</dt><dd>{text}</dd>", title=TITLES.get(name, name), text=text)
        for name, text in DESCRIPTIONS.items()
        if name in measured and TITLES.get(name) != text
    ]
    missing = [
        markup(
            '<dt>{title}</dt><dd><b class="badge missed">not measured</b> {reason}</dd>',
            title=title,
            reason=reason,
        )
        for title, reason in absent_systems(record).items()
    ]
    return markup('<h3>What they are</h3><dl class="list">{entries}</dl>', entries=joined(entries + missing))
