"""HTML that is safe by its type: whatever is no Markup is escaped on its way in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def markup(template: str, **fields: object) -> Markup:
    """Fill a template of `str.format`; fields that are no Markup are escaped."""
    return Markup(template.format(**{name: _safe(value) for name, value in fields.items()}))


def joined(parts: Iterable[Markup]) -> Markup:
    """Parts one after another, each on a line of its own."""
    return Markup("\n".join(part for part in parts if part))


def section(identity: str, title: str, lead: str | Markup, parts: Iterable[Markup]) -> Markup:
    """A section with a heading; empty where it has no part."""
    body = joined(parts)
    if not body:
        return Markup()
    return markup(
        '<section id="{identity}">\n<h2>{title}</h2>\n<p class="lead">{lead}</p>\n{body}\n</section>',
        identity=identity,
        title=title,
        lead=lead,
        body=body,
    )


def table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[object]], numbers: Iterable[int] = ()
) -> Markup:
    """A table whose first column names the row; `numbers` are the columns that are set flush right."""
    right = set(numbers)
    kinds = [' class="number"' if column in right else "" for column in range(len(header))]
    lines = [
        joined(
            markup("<td{kind}>{cell}</td>", kind=Markup(kinds[column]), cell=cell)
            if column
            else markup('<th scope="row">{cell}</th>', cell=cell)
            for column, cell in enumerate(row)
        )
        for row in rows
    ]
    heads = (
        markup('<th scope="col"{kind}>{head}</th>', kind=Markup(kind), head=head)
        for kind, head in zip(kinds, header, strict=True)
    )
    return markup(
        '<p class="caption">{caption}</p>\n<div class="scroll"><table aria-label="{caption}">\n'
        "<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>",
        caption=caption,
        heads=Markup("".join(heads)),
        body=joined(markup("<tr>{line}</tr>", line=line) for line in lines),
    )


def folded(summary: str | Markup, body: Markup) -> Markup:
    """What is read only by who opens it."""
    return markup("<details><summary>{summary}</summary>\n{body}\n</details>", summary=summary, body=body)


def _safe(value: object) -> str:
    return value if isinstance(value, Markup) else escape(str(value))
