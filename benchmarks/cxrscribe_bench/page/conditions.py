"""Under which conditions the figures were found: machine, bundle, options, words, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cxrscribe_bench.page.markup import Markup, folded, joined, markup, section, table
from cxrscribe_bench.results.figures import byte_size
from cxrscribe_bench.results.record import Record, TokenCheck
from cxrscribe_bench.results.standings import TITLES, absent_parts

_LONG: Final = 160
"""Characters; a longer text is folded."""


def checks(record: Record) -> Markup:
    """The section on words; empty where nobody compared them."""
    if not record.checks:
        return Markup()
    header = ["System", "Source", "Precision", "Held against", "Reports", "Identical", "Near ties", "Verdict"]
    rows = [
        [
            TITLES.get(each.system, each.system),
            each.source,
            each.precision,
            each.reference,
            f"{each.reports:,}",
            f"{each.identical:,}",
            f"{each.near_ties:,}",
            _verdict(each),
        ]
        for each in record.checks
    ]
    differences = (
        folded(
            f"{TITLES.get(each.system, each.system)}, {each.source}, {each.precision}: first differences",
            markup(
                "<ul>{items}</ul>",
                items=joined(markup("<li>{text}</li>", text=text) for text in each.differences),
            ),
        )
        for each in record.checks
        if each.differences
    )
    return section(
        "words",
        "Whether the words are the same",
        "Speed counts only where the words are right. A near tie is a difference after a decision closer "
        "than 1e-5. Peers may differ without failing the run; our lower precisions are held against plain "
        "loops on their own graphs.",
        [table("Words of every system, report by report", header, rows, (4, 5, 6)), *differences],
    )


def conditions(record: Record) -> Markup:
    """The section on machine, bundle and options."""
    boxes = [
        _box("Machine", record.environment),
        _box("Bundle", {name: value for name, value in record.bundle.items() if name != "disclaimer"}),
        _box("Options", record.options),
        *(_box(TITLES.get(name, name), said) for name, said in record.details.items()),
    ]
    filled = joined(boxes)
    return section(
        "conditions",
        "Conditions",
        "What the figures hold for, in the words of the machine and of each system.",
        [markup('<div class="boxes">\n{boxes}\n</div>', boxes=filled)] if filled else [],
    )


def notes(record: Record) -> Markup:
    """The section on what couldn't be measured."""
    missing = [
        markup("<dt>{name}</dt><dd>{reason}</dd>", name=name, reason=reason)
        for name, reason in absent_parts(record).items()
    ]
    return section(
        "missing",
        "Not measured",
        "What this run can't say, and why.",
        [markup('<dl class="list">{missing}</dl>', missing=joined(missing))] if missing else [],
    )


def _verdict(check: TokenCheck) -> Markup:
    if check.passed:
        return Markup('<b class="badge met">the same</b>')
    if check.is_required:
        return Markup('<b class="badge missed">FAILED</b>')
    return Markup('<b class="badge">differs</b>')


def _box(title: str, fields: Mapping[str, Any]) -> Markup:
    if not fields:
        return Markup()
    entries = (
        markup("<dt>{name}</dt><dd>{value}</dd>", name=name.replace("_", " "), value=_value(name, value))
        for name, value in fields.items()
    )
    return markup(
        '<div class="panel"><h4>{title}</h4><dl>{entries}</dl></div>', title=title, entries=joined(entries)
    )


def _value(name: str, value: object) -> Markup:
    if name.endswith("bytes") and isinstance(value, int | float):
        return markup("{size}", size=byte_size(value))
    text = _text(value)
    if len(text) > _LONG:
        return folded(f"{text[:60]} …", markup("<p>{text}</p>", text=text))
    return markup("{text}", text=text)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return (" " if all(isinstance(each, str) for each in value) else ", ").join(map(_text, value))
    if value is None:
        return "not told"
    return f"{value:g}" if isinstance(value, float) else str(value)
