"""How long one request takes, and how that varies."""

from __future__ import annotations

from cxrscribe.bundle.files import FP32
from cxrscribe_bench.groups import SINGLE_FILMS
from cxrscribe_bench.page.distribution import Distribution, distribution_chart
from cxrscribe_bench.page.markup import Markup, markup, section
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.standings import standings


def latency(record: Record) -> Markup:
    """The section; empty where no single request was timed."""
    return section(
        "latency",
        "Latency",
        "Each row is the density of its samples, from the fastest to the slowest. The tall mark is the "
        "median, the short one p90, the dot p99.",
        [_single(record), _scenarios(record)],
    )


def _single(record: Record) -> Markup:
    found = standings(record, SINGLE_FILMS)
    if found is None:
        return Markup()
    rows = [
        Distribution(
            each.title,
            each.precision,
            [seconds / each.measurement.items for seconds in each.measurement.seconds],
            "peer" if not each.is_ours else "ours" if each.is_strict else "best",
        )
        for each in found.rows
    ]
    count = max(len(each.seconds) for each in rows)
    return _panel(f"One film at a time, up to {count:,} films a system", rows)


def _scenarios(record: Record) -> Markup:
    rows = [
        Distribution(
            f"{each.scenario}, {each.source}",
            each.precision,
            each.seconds,
            "ours" if each.precision == FP32 else "best",
        )
        for each in record.scenarios
        if each.seconds
    ]
    return _panel("Queries of LoadGen's scenarios, by our own clock", rows) if rows else Markup()


def _panel(title: str, rows: list[Distribution]) -> Markup:
    return markup("<h3>{title}</h3>{chart}", title=title, chart=distribution_chart(title, rows))
