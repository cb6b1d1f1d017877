"""`cxrscribe demo`: the embedded bundle on the embedded films."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from cxrscribe.cli.page import report_page
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.cli.terminal import note, say, say_json_text
from cxrscribe.errors import InputError
from cxrscribe.report import Report

_LEAD: Final = (
    "Sample films, drawn by a program, and the FINDINGS paragraphs that the embedded demo model wrote."
)


BUILT_PAGE: Final = Path(__file__).resolve().parents[3] / "build" / "web"
"""Where `make web` writes it, where the package runs from a checkout."""


@click.command(short_help="Show reports for the embedded sample films.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for index.html.  [default: cxrscribe-demo]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout.")
@click.option("--web", is_flag=True, help="Serve a page on which the browser itself writes reports of films.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="With --web: the built page; the one that `make web` wrote in this checkout without it.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="With --web: of the address on this machine; one that is free without it.",
)
@click.option("--no-browser", is_flag=True, help="With --web: only print the address.")
def demo(
    out: Path | None, as_json: bool, web: bool, page: Path | None, port: int | None, no_browser: bool
) -> None:
    """Write reports for the sample films that come with cxrscribe, and a page that shows both.

    Or, with --web, serve a page that writes reports in the browser, until Ctrl-C: no film leaves it.

    The demo model was trained on drawings. It knows nothing about patients.
    """
    given = {"--page": page, "--port": port, "--no-browser": no_browser or None}
    others = {"--out": out, "--json": as_json or None}
    for option, value in (others if web else given).items():
        if value is not None:
            raise click.UsageError(f"{option} goes {'without' if web else 'with'} --web; leave it out")
    if web:
        _serve(page or BUILT_PAGE, port or 0, opens_browser=not no_browser)
    else:
        _report(out or Path("cxrscribe-demo"), as_json)


def _report(out: Path, as_json: bool) -> None:
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


def _serve(page: Path, port: int, opens_browser: bool) -> None:
    """Serve the page until Ctrl-C, which is how it is meant to end."""
    import webbrowser

    from cxrscribe.cli.page_server import PageServer

    with PageServer(page, port) as server:
        try:
            say(server.url)
            note("Films stay in the browser. Ctrl-C ends the page.")
            if opens_browser and not webbrowser.open(server.url):
                note("There is no browser here that can be opened: give one the address above.")
            server.serve_forever()
        except KeyboardInterrupt:
            note("Ended.")
