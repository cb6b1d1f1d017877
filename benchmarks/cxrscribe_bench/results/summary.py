"""A record in few words: Markdown for a README, plain text for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cxrscribe_bench.groups import STAGE_NAMES, STAGES
from cxrscribe_bench.results.capacity import capacity_of_stages, stages_at
from cxrscribe_bench.results.figures import (
    byte_size,
    interval,
    milliseconds,
    percent,
    round_figure,
    significant,
    times,
)
from cxrscribe_bench.results.real_sizes import FormatCosts, costs_table, format_costs
from cxrscribe_bench.results.record import NOT_MLPERF, Goal, Record
from cxrscribe_bench.results.samples import Estimate
from cxrscribe_bench.results.standings import (
    PEER_GROUPS,
    Standing,
    Standings,
    absent_systems,
    precision_of,
    seconds_per_item,
    standings,
    times_as_fast,
)

_WIDTH: Final = 100


def environment_line(record: Record) -> str:
    """The machine and the versions that count most, in one line; only what the record knows."""
    found = record.environment
    versions = found.get("versions") or {}
    cores, threads = found.get("cores"), found.get("threads")
    memory = found.get("memory_bytes")
    parts = (
        found.get("processor"),
        f"{threads} of {cores} cores" if cores and threads else cores and f"{cores} cores",
        f"{byte_size(memory)} of memory" if memory else None,
        f"Python {found['python']}" if found.get("python") else None,
        *(f"{name} {versions[name]}" for name in ("onnxruntime", "cxrscribe") if versions.get(name)),
    )
    return ", ".join(str(part) for part in parts if part)


def summary(record: Record) -> str:
    """Markdown: goals, a table for each group of peers, the machine."""
    parts = [_goals_table(record)] if record.goals else []
    parts += [_peers_table(found) for found in _groups(record)]
    stages = _stages_table(record)
    if stages:
        parts.append(stages)
    costs = format_costs(record)
    if costs:
        parts.append("Films of 2,500 x 2,048 pixels, a film:\n\n" + _markdown(*costs_table(costs)))
    missing = absent_systems(record)
    if missing:
        parts.append(
            "Not measured: " + "; ".join(f"{_cell(name)} ({_cell(why)})" for name, why in missing.items())
        )
    parts += [line for line in (_cell(environment_line(record)), NOT_MLPERF) if line]
    return "\n\n".join(parts) + "\n"


def terminal_table(record: Record) -> str:
    """Plain text of at most 100 columns."""
    lines = []
    for found in _groups(record):
        head = _columns("", "", f"{found.item}s/s", f"ms/{found.item}", "cxrscribe fp32 is", "words")
        lines += [f"{found.title} ({found.group})", head]
        lines += [_peer_line(row) for row in found.rows]
        lines.append("")
    for each in format_costs(record):
        lines += [f"Large films, {each.name}: reading {_in_ms(each.read_seconds)}" + _ways_line(each)]
    if record.goals:
        lines += [f"Goals: {sum(goal.reached for goal in record.goals)} of {len(record.goals)} reached"]
        lines += [_goal_line(goal) for goal in record.goals]
        lines.append("")
    lines += [
        f"LoadGen {each.scenario}, {each.source}, {each.precision}: {each.verdict}"
        for each in record.scenarios
    ]
    lines += [f"not measured: {name}: {reason}" for name, reason in record.absent.items()]
    lines += [
        f"WORDS DIFFER where they must not: {each.system}/{each.precision} from {each.source}"
        for each in record.drifted
    ]
    return "\n".join(_cut(line.rstrip()) for line in lines).rstrip() + "\n"


def _groups(record: Record) -> list[Standings]:
    return [found for group in PEER_GROUPS if (found := standings(record, group)) is not None]


def _goals_table(record: Record) -> str:
    rows = [
        [
            goal.name,
            f"{significant(goal.value.value)}{_bounds(goal.value)}",
            f"{'at most' if goal.at_most else 'at least'} {_wanted(goal)}",
            "reached" if goal.reached else "**not reached**",
        ]
        for goal in record.goals
    ]
    return _markdown(["Goal", "Measured", "Wanted", ""], rows)


def _peers_table(found: Standings) -> str:
    best = found.best if found.has_second_track and found.best is not found.fp32 else None
    has_words = any(row.check for row in found.rows)
    header = [found.title, "Precision", f"{found.item}s/s", f"ms/{found.item}", "cxrscribe fp32 is … as fast"]
    header += [f"cxrscribe {best.precision} is … as fast"] if best else []
    header += ["Words"] if has_words else []
    rows = [
        [
            row.title,
            row.precision,
            significant(1 / row.seconds),
            milliseconds(row.seconds),
            _ratio(row.fp32_times, found.fp32 is not None),
            *([_ratio(row.best_times, True)] if best else []),
            *([row.words + row.ties or "not compared"] if has_words else []),
        ]
        for row in found.rows
    ]
    return _markdown(header, rows)


def _stages_table(record: Record) -> str:
    """Empty where film to text wasn't measured."""
    whole = STAGE_NAMES[-1]
    by_precision = {
        precision: stages_at(record.measurements, precision)
        for precision in dict.fromkeys(map(precision_of, record.group(STAGES)))
    }
    rows = [
        [
            precision,
            *(milliseconds(seconds_per_item(found[name])) if name in found else "–" for name in STAGE_NAMES),
            _share(times_as_fast(found[whole], found["encode"]) if "encode" in found else None),
            _share(could.share if (could := capacity_of_stages(found)) is not None else None),
        ]
        for precision, found in by_precision.items()
        if whole in found
    ]
    header = ["Stages, ms a film", *STAGE_NAMES, "of its encoder's rate", "of what these cores could do"]
    return _markdown(header, rows) if rows else ""


def _share(share: Estimate | None) -> str:
    return "–" if share is None else f"{percent(share.value)}{_bounds(share, percent)}"


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _ratio(ratio: Estimate | None, has_ours: bool) -> str:
    if ratio is None:
        return "1" if has_ours else "–"
    return f"{times(ratio.value)}{_bounds(ratio)}"


def _bounds(estimate: Estimate, figure: Callable[[float], str] = significant) -> str:
    return "" if estimate.is_exact else f" ({interval(estimate, figure)})"


def _peer_line(row: Standing) -> str:
    return _columns(
        row.title,
        row.precision,
        significant(1 / row.seconds),
        milliseconds(row.seconds),
        _ratio(row.fp32_times, row.fp32 is not None),
        row.words,
    )


def _ways_line(costs: FormatCosts) -> str:
    return "".join(f"; {way.precision} film to text {_in_ms(way.seconds)}" for way in costs.ways)


def _in_ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{milliseconds(seconds)} ms"


def _columns(name: str, precision: str, rate: str, time: str, ratio: str, words: str) -> str:
    return f"  {name:<21.21} {precision:<11.11} {rate:>9} {time:>9} {ratio:>22}  {words}"


def _goal_line(goal: Goal) -> str:
    mark = "+" if goal.reached else "-"
    sign = "<=" if goal.at_most else ">="
    measured = f"{significant(goal.value.value)}{_bounds(goal.value)}"
    return f"{mark} {_cut(goal.name, 62):<62} {measured:>22} {sign} {_wanted(goal)}"


def _wanted(goal: Goal) -> str:
    return round_figure(significant(goal.goal))


def _cut(line: str, width: int = _WIDTH) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
