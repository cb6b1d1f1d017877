"""`cxrscribe demo`: the embedded bundle on the embedded films."""

from __future__ import annotations

from pathlib import Path

import click

from cxrscribe.cli.page import report_page
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.errors import InputError
from cxrscribe.report import Report

_LEAD = "Sample films, drawn by a program, and the FINDINGS paragraphs that the embedded demo model wrote."


@click.command(short_help="Show reports for the embedded sample films.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("cxrscribe-demo"),
    show_default=True,
    metavar="DIR",
    help="Folder for index.html.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
def demo(out: Path, as_json: bool) -> None:
    """Write reports for the sample films that come with cxrscribe, and a page that shows both.

    The demo model was trained on drawings. It knows nothing about patients.
    """
    import cxrscribe
    from cxrscribe.embedded import demo_bundle, demo_films

    films = [str(film) for film in demo_films()]
    with cxrscribe.load(demo_bundle()) as reporter:
        disclaimer = reporter.disclaimer
        rows = [
            ReportRow(film, outcome, disclaimer)
            for film, outcome in zip(films, reporter.report_batch(films), strict=True)
        ]
    for row in rows:
        if as_json:
            say_json_text(row.to_json_line())
        else:
            say(*row.to_lines())
    page = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        page.write_text(report_page("cxrscribe demo", _LEAD, disclaimer, rows), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page} can't be written ({error.strerror}); give another --out") from None
    note(f"Films and reports as a page: {page}")
    failed = sum(not isinstance(row.outcome, Report) for row in rows)
    click.get_current_context().exit(0 if failed == 0 else 1 if failed < len(rows) else 2)
