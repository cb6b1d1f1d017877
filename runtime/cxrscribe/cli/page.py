"""The page of films and reports that `cxrscribe demo` writes: one HTML file that needs no other."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from cxrscribe.cli.report_row import ReportRow
from cxrscribe.report import Report

_MEDIA_TYPES: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --ink: #1b2430; --soft: #5b6875; --ground: #f3f5f7; --card: #fff;
  --line: #dde3e8; --warn-ink: #6b3d00; --warn: #fff4dc; --warn-line: #efcf8c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #98a5b1; --ground: #11161b;
  --card: #1a2128; --line: #2b353f; --warn-ink: #ffdd9c; --warn: #33270f; --warn-line: #6a5220; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; letter-spacing: -.01em; }
.lead { margin: 0 0 1.5rem; color: var(--soft); }
.warning { margin: 0 0 2rem; padding: .8rem 1rem; border: 1px solid var(--warn-line); border-radius: .6rem;
  background: var(--warn); color: var(--warn-ink); font-weight: 600; }
.films { display: grid; gap: 1.5rem; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); }
article { display: flex; flex-direction: column; overflow: hidden; border: 1px solid var(--line);
  border-radius: .8rem; background: var(--card); }
article img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #000; }
.text { display: flex; flex: 1; flex-direction: column; padding: 1rem 1.1rem 1.1rem; }
h2 { margin: 0 0 .5rem; font-size: .8rem; font-weight: 600; letter-spacing: .06em; color: var(--soft); }
.text p { margin: 0 0 .8rem; }
.text .figures { margin-top: auto; font-size: .8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.text .draft { margin: 0; padding-top: .6rem; border-top: 1px solid var(--line); font-size: .75rem;
  color: var(--soft); }
@media print { .films { grid-template-columns: 1fr 1fr; } article { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="lead">$lead</p>
<p class="warning">$disclaimer</p>
<div class="films">
$articles
</div>
</main>
</body>
</html>
""")

_ARTICLE: Final = Template("""\
<article>
<img src="$source" alt="Film $name">
<div class="text">
<h2>$name</h2>
<p>$text</p>
<p class="figures">$figures</p>
<p class="draft">$disclaimer</p>
</div>
</article>""")


def report_page(title: str, lead: str, disclaimer: str, rows: Sequence[ReportRow]) -> str:
    """An HTML page with every row's film (a PNG or JPEG file, embedded) beside its report or error.

    The films are read from where `row.film` says. All texts are escaped.
    """
    return _PAGE.substitute(
        title=escape(title),
        lead=escape(lead),
        disclaimer=escape(disclaimer),
        articles="\n".join(_article(row) for row in rows),
    )


def _article(row: ReportRow) -> str:
    film = Path(row.film)
    if isinstance(row.outcome, Report):
        text = row.outcome.text or "(no words)"
        figures = f"score {row.outcome.score:.3f}, {len(row.outcome.tokens)} words"
    else:
        text, figures = f"No report: {row.error}", ""
    return _ARTICLE.substitute(
        source=_data_uri(film),
        name=escape(film.stem),
        text=escape(text),
        figures=escape(figures),
        disclaimer=escape(row.disclaimer),
    )


def _data_uri(film: Path) -> str:
    return f"data:{_MEDIA_TYPES[film.suffix.lower()]};base64,{b64encode(film.read_bytes()).decode('ascii')}"
