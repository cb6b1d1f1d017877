"""What MLPerf LoadGen found, as it says it."""

from __future__ import annotations

from cxrscribe_bench.page.markup import Markup, folded, joined, markup, section, table
from cxrscribe_bench.results.figures import duration, significant
from cxrscribe_bench.results.record import NOT_MLPERF, Record, ScenarioResult


def loadgen(record: Record) -> Markup:
    """The section; empty where no scenario was run."""
    if not record.scenarios:
        return Markup()
    rows = [
        [
            f"{each.scenario}, {each.source}",
            each.precision,
            markup(
                '<b class="badge {tone}">{verdict}</b>',
                tone="met" if each.is_valid else "missed",
                verdict=each.verdict,
            ),
            each.metric,
            _value(each),
            f"{each.reports:,}",
            duration(each.duration),
        ]
        for each in record.scenarios
    ]
    header = ["Scenario", "Precision", "LoadGen's verdict", "LoadGen's metric", "Value", "Reports", "Took"]
    return section(
        "loadgen",
        "LoadGen scenarios",
        markup('<strong class="notice">{notice}</strong>', notice=NOT_MLPERF),
        [
            table("Scenarios, with verdict and metric as LoadGen gives them", header, rows, (4, 5, 6)),
            joined(_summary(each) for each in record.scenarios),
        ],
    )


def _value(result: ScenarioResult) -> str:
    """LoadGen's figure, and the same in a unit for people where it counts nanoseconds."""
    if "(ns)" in result.metric:
        return f"{result.metric_value:,.0f} = {duration(result.metric_value * 1e-9)}"
    return significant(result.metric_value, 4)


def _summary(result: ScenarioResult) -> Markup:
    settings = ", ".join(f"{name} = {value:g}" for name, value in result.settings.items())
    return folded(
        f"{result.scenario}, {result.source}, {result.precision}: LoadGen's summary, unchanged",
        markup(
            '<p class="fine">Settings given to LoadGen: {settings}</p><pre>{summary}</pre>',
            settings=settings or "none",
            summary=result.summary,
        ),
    )
