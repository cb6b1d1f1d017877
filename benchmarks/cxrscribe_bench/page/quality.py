"""What a lower precision gains in speed and costs in words."""

from __future__ import annotations

from typing import Final

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import OFFLINE_FEATURES, OFFLINE_FILMS
from cxrscribe_bench.page.bars import Bar, bar_chart
from cxrscribe_bench.page.markup import Markup, joined, markup, section, table
from cxrscribe_bench.page.scale import Scale, ratio_scale
from cxrscribe_bench.results.figures import interval, percent, significant, times
from cxrscribe_bench.results.record import Quality, Record
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.results.standings import PEER_GROUPS, Standing, standings, times_as_fast

_RECORDED: Final = {
    "bleu_4": "BLEU-4",
    "bleu_4_fp32": "BLEU-4 of fp32",
    "label_f1_micro": "Label F1",
    "label_f1_micro_fp32": "Label F1 of fp32",
    "identical_share": "Identical there",
    "reports": "Reports there",
}
"""What the bundle's manifest records, and what people call it."""


def quality(record: Record) -> Markup:
    """The section; empty where no precision but fp32 was compared."""
    found = [each for each in record.quality if each.precision != FP32]
    return section(
        "quality",
        "Quality beside speed",
        "What each precision gains over fp32, and what it costs: agreement with fp32's reports in this run, "
        "and the figures that the bundle's manifest records against the reports that were written by people.",
        [_charts(record, found), _table(found)] if found else [],
    )


def _charts(record: Record, found: list[Quality]) -> Markup:
    speeds = [bar for each in found if (bar := _speed(record, each.precision)) is not None]
    agreement = [
        Bar(
            label=each.precision,
            value=Estimate(each.word_agreement, each.word_agreement, each.word_agreement),
            figure=percent(each.word_agreement),
            note=f"of words, {each.reports:,} reports",
            tone="best",
        )
        for each in found
    ]
    panels = []
    if speeds:
        scale = ratio_scale(
            bound for bar in speeds for bound in (bar.value.value, bar.value.low, bar.value.high)
        )
        chart = bar_chart("Speed over fp32", speeds, scale, 1, ("← slower", "faster →"), times)
        panels.append(_panel("Speed over fp32", chart))
    chart = bar_chart("Words that are the same as at fp32", agreement, Scale(0, 1.0001), 0, tick=_share)
    panels.append(_panel("Same word at the same place", chart))
    return markup('<div class="panels">\n{panels}\n</div>', panels=joined(panels))


def _panel(title: str, chart: Markup) -> Markup:
    return markup('<div class="panel"><h4>{title}</h4>{chart}</div>', title=title, chart=chart)


def _speed(record: Record, precision: str) -> Bar | None:
    for group in (OFFLINE_FILMS, OFFLINE_FEATURES):
        found = standings(record, group)
        ours = [] if found is None else [row for row in found.rows if row.is_ours]
        lower: Standing | None = next((row for row in ours if row.precision == precision), None)
        if found is not None and found.fp32 is not None and lower is not None:
            gain = times_as_fast(lower.measurement, found.fp32.measurement)
            tone = "slower" if gain.high < 1 else "ours"
            return Bar(precision, gain, times(gain.value), interval(gain), PEER_GROUPS[group].lower(), tone)
    return None


def _table(found: list[Quality]) -> Markup:
    recorded = list(dict.fromkeys(name for each in found for name in each.recorded))
    rows = [
        [
            each.precision,
            percent(each.word_agreement),
            f"{each.identical:,} of {each.reports:,}",
            *(significant(each.recorded[name]) if name in each.recorded else "–" for name in recorded),
        ]
        for each in found
    ]
    header = [
        "Precision",
        "Words that agree",
        "Reports identical",
        *(_RECORDED.get(name, name.replace("_", " ")) for name in recorded),
    ]
    return table(
        "Agreement in this run, and what the bundle records of its own test films",
        header,
        rows,
        range(1, len(header)),
    )


def _share(value: float) -> str:
    return f"{100 * value:g} %"
