"""The page of one run: its parts in order, its style, and nothing from anywhere else."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from cxrscribe_bench.page.conditions import checks, conditions, notes
from cxrscribe_bench.page.headline import goals, headline
from cxrscribe_bench.page.latency import latency
from cxrscribe_bench.page.loadgen import loadgen
from cxrscribe_bench.page.markup import Markup, joined, markup
from cxrscribe_bench.page.peers import peers
from cxrscribe_bench.page.quality import quality
from cxrscribe_bench.page.real_sizes import real_sizes
from cxrscribe_bench.page.scaling import scaling
from cxrscribe_bench.page.stages import stages
from cxrscribe_bench.page.startup import startup
from cxrscribe_bench.results.record import NOT_MLPERF, Record
from cxrscribe_bench.results.summary import environment_line

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cxrscribe bench</title>
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>cxrscribe bench</h1>
<p class="lead">{machine}</p>
{drift}
{nav}
</header>
{headline}
{goals}
{sections}
<footer>
{disclaimer}
<p>{notice}</p>
<p>Intervals are at 95 %, by the bootstrap. Figures hold for this machine and this run.</p>
</footer>
</main>
</body>
</html>
"""
_HEADING: Final = re.compile(r'<section id="([^"]+)">\n<h2>(.*?)</h2>')


def write_page(record: Record, path: Path) -> None:
    """Write one HTML file that shows all of a record: it needs no script and asks for nothing elsewhere."""
    path.write_text(page(record), encoding="utf-8")


def page(record: Record) -> Markup:
    """The same as text. Sections of which the record knows nothing are left out."""
    sections = joined(
        part(record)
        for part in (
            peers,
            stages,
            real_sizes,
            latency,
            scaling,
            quality,
            loadgen,
            startup,
            checks,
            notes,
            conditions,
        )
    )
    style = files("cxrscribe_bench.page").joinpath("style.css").read_text(encoding="utf-8")
    return markup(
        _PAGE,
        style=Markup(style),
        machine=environment_line(record),
        drift=_drift(record),
        nav=_nav(sections),
        headline=headline(record),
        goals=goals(record),
        sections=sections,
        disclaimer=_disclaimer(record),
        notice=NOT_MLPERF,
    )


def _nav(sections: Markup) -> Markup:
    links = (Markup(f'<a href="#{identity}">{title}</a>') for identity, title in _HEADING.findall(sections))
    return markup('<nav aria-label="Sections">{links}</nav>', links=joined(links))


def _drift(record: Record) -> Markup:
    """What has to be seen first: that words which must be the same are not."""
    if not record.drifted:
        return Markup()
    names = ", ".join(f"{each.system}/{each.precision} from {each.source}" for each in record.drifted)
    return markup(
        '<p class="warning" role="alert">The words differ where they must not: {names}. '
        "No figure of this run counts.</p>",
        names=names,
    )


def _disclaimer(record: Record) -> Markup:
    text = record.bundle.get("disclaimer")
    return markup('<p class="warning">{text}</p>', text=text) if text else Markup()
