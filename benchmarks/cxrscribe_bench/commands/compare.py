"""`cxrscribe bench compare`: whether a run is worse than one before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from cxrscribe.cli.terminal import say, say_json
from cxrscribe_bench.results.comparison import TOLERANCE, Change, Comparison, TimeChange, Verdict, compare
from cxrscribe_bench.results.record import Record

_RECORD: Final = click.Path(path_type=Path)
_WIDTH: Final = 100
_NAME: Final = 40
_UNITS: Final = ((1.0, "s "), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))


@click.command("compare", short_help="Hold a benchmark run against an older one.")
@click.argument("old", type=_RECORD)
@click.argument("new", type=_RECORD)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1, max_open=True),
    default=TOLERANCE,
    show_default=True,
    help="Relative change below which nothing is a regression.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--all", "show_all", is_flag=True, help="Show what is unchanged too.")
@click.pass_context
def compare_command(
    context: click.Context, old: Path, new: Path, tolerance: float, as_json: bool, show_all: bool
) -> None:
    """Say what got slower or faster from OLD to NEW: two bench.json, or the folders they are in.

    Times are held against the floor of their own run (the encoder's matrix products, and copies), so that a
    machine that is slower today is not taken for a slower program. Exit code 1 says that there is a
    regression.
    """
    comparison = compare(Record.read(old), Record.read(new), tolerance)
    if as_json:
        say_json(to_json(comparison), indent=1)
    else:
        say(*lines(comparison, show_all=show_all))
    context.exit(int(comparison.has_regression))


def to_json(comparison: Comparison) -> dict[str, object]:
    """All of it as JSON values."""
    return {**asdict(comparison), "has_regression": comparison.has_regression}


def lines(comparison: Comparison, *, show_all: bool = False) -> Iterator[str]:
    """The comparison for people; the last line says the verdict."""
    if comparison.differences:
        yield "NOT STRICTLY COMPARABLE: the two runs differ in more than the program."
        yield from (_cut(f"  {each}") for each in comparison.differences)
        yield ""
    yield from _about_the_machine(comparison)
    yield ""
    worse = list(_other_regressions(comparison))
    if worse:
        yield from (*worse, "")
    shown = [each for each in comparison.times if show_all or each.verdict is not Verdict.UNCHANGED]
    if shown:
        yield f"{'seconds an item':{_NAME}} {'old':>9} {'new':>9} {'change':>6} {'95 %':>13}  verdict"
        yield from map(_row, shown)
        yield ""
    if comparison.metrics:
        yield "What LoadGen reports (no verdict: one value a run)"
        yield from map(_metric_row, comparison.metrics)
        yield ""
    lists = {
        "Not compared by latency, for their settings differ": comparison.other_settings,
        "Only in OLD": comparison.missing,
        "Only in NEW": comparison.added,
    }
    for title, names in lists.items():
        if names:
            yield f"{title}:"
            yield from (*(_cut(f"  {name}") for name in names), "")
    yield _conclusion(comparison)


def _about_the_machine(comparison: Comparison) -> Iterator[str]:
    machine = comparison.machine
    if machine is None:
        yield "No common floor (same bundle and threads, 5 rounds): changes are of raw seconds, and so hold"
        yield "the machine's own change too."
    else:
        yield (
            f"The machine itself takes {machine.value:.3f} times as long ({machine.low:.3f} to "
            f"{machine.high:.3f}, by the floor)."
        )
        yield "Changes are of times in multiples of the floor of the same run."
    yield f"Tolerance {comparison.tolerance:.1%}. Intervals are each figure's own; verdicts allow for all."


def _other_regressions(comparison: Comparison) -> Iterator[str]:
    for each in comparison.drifted:
        yield _cut(f"OTHER WORDS    {each} reports identical")
    for each in comparison.failed:
        yield _cut(f"FAILED         {each}")
    for each in comparison.invalid:
        yield _cut(f"NOW INVALID    {each}")
    for change in comparison.more_memory:
        yield _cut(
            f"MORE MEMORY    {change.name}: {change.old / 1e6:.1f} MB -> {change.new / 1e6:.1f} MB "
            f"({change.ratio:.2f})"
        )


def _row(time: TimeChange) -> str:
    name = time.name if time.ours else f"{time.name} (peer)"
    verdict = time.verdict.upper() if time.ours and time.verdict is Verdict.SLOWER else time.verdict.value
    interval = f"{time.change.low:.2f} to {time.change.high:.2f}"
    return (
        f"{_cut(name, _NAME):{_NAME}} {_seconds(time.old):>9} {_seconds(time.new):>9} "
        f"{time.change.value:6.2f} {interval:>13}  {verdict}"
    )


def _metric_row(change: Change) -> str:
    name = _cut(f"  {change.name}", 66)
    return f"{name:66} {change.old:>12.6g} {change.new:>12.6g} {change.ratio:6.2f}"


def _conclusion(comparison: Comparison) -> str:
    counts = (
        (len(comparison.of(Verdict.SLOWER)), "slower"),
        (len(comparison.more_memory), "with more memory"),
        (len(comparison.drifted), "with other words"),
        (len(comparison.failed), "failed"),
        (len(comparison.invalid), "invalid"),
    )
    if comparison.has_regression:
        return f"REGRESSION: {', '.join(f'{count} {what}' for count, what in counts if count)}."
    rest = (Verdict.FASTER, Verdict.UNCHANGED, Verdict.UNCLEAR, Verdict.TOO_FEW)
    found = [f"{count} {verdict.value}" for verdict in rest if (count := len(comparison.of(verdict)))]
    missing = f", {len(comparison.missing)} missing" if comparison.missing else ""
    return f"No regression found: {', '.join(found) or 'nothing to compare'}{missing}."


def _seconds(value: float) -> str:
    size, unit = next((size, unit) for size, unit in _UNITS if value >= size)
    return f"{value / (size or 1e-9):.4g} {unit}"


def _cut(text: str, width: int = _WIDTH) -> str:
    """With an ellipsis in its middle where it is too long: both ends tell names apart."""
    if len(text) <= width:
        return text
    end = (width - 3) // 2
    return f"{text[: width - 3 - end]}...{text[-end:]}"
