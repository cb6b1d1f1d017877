"""`cxrscribe demo`, and the page that it writes."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import Result

from cxrscribe import BeamSettings
from cxrscribe.cli.page import report_page
from cxrscribe.cli.report_row import ReportRow
from cxrscribe.errors import FilmError
from cxrscribe.report import Report
from support.small_bundle import SmallBundle

Run = Callable[..., Result]

DISCLAIMER = (
    "Draft text made by a computer program. Not for diagnostic use. To be reviewed by a radiologist. "
    "Random words of a test."
)


class Page(HTMLParser):
    """The parts of a page that matter; a page whose tags do not match fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "img":
            self.images.append(found["src"] or "")
        self.addresses += [found[name] or "" for name in ("href", "src") if name in found]
        if tag not in ("img", "meta"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def talking_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle whose reports have words."""
    settings = BeamSettings(beam_width=3, max_length=12, min_length=3)
    return SmallBundle(settings=settings).write(tmp_path_factory.mktemp("talking") / "bundle")


@pytest.fixture(autouse=True)
def small_demo(monkeypatch: pytest.MonkeyPatch, talking_bundle: Path, films: Path) -> list[Path]:
    """A small bundle and two films in place of the embedded ones."""
    sample = [films / "a.png", films / "b.jpg"]
    monkeypatch.setattr("cxrscribe.embedded.demo_bundle", lambda: talking_bundle)
    monkeypatch.setattr("cxrscribe.embedded.demo_films", lambda: sample)
    return sample


def test_prints_a_report_a_film_and_writes_the_page(run: Run, small_demo: list[Path]) -> None:
    result = run("demo")
    assert result.exit_code == 0
    assert result.stdout.count(DISCLAIMER) == 2
    assert str(Path("cxrscribe-demo") / "index.html") in result.stderr
    page = Page(Path("cxrscribe-demo/index.html").read_text(encoding="utf-8"))
    assert [b64decode(image.partition(",")[2]) for image in page.images] == [
        film.read_bytes() for film in small_demo
    ]
    assert page.texts.count(DISCLAIMER) == 3


def test_json(run: Run, small_demo: list[Path]) -> None:
    result = run("demo", "--json", "--out", "deep/page")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["film"] for row in rows] == [str(film) for film in small_demo]
    assert all(row["text"] and row["disclaimer"] == DISCLAIMER and row["error"] is None for row in rows)
    page = Page(Path("deep/page/index.html").read_text(encoding="utf-8"))
    assert [row["text"] in page.texts for row in rows] == [True, True]


def test_page_needs_no_other_file(run: Run) -> None:
    run("demo")
    text = Path("cxrscribe-demo/index.html").read_text(encoding="utf-8")
    assert all(address.startswith("data:") for address in Page(text).addresses)
    assert "url(" not in text
    assert "<script" not in text


def test_texts_are_escaped(films: Path) -> None:
    report = Report("<b>heart</b> & $lungs", (4,), -1.0, -1.0, (-1.0,), True)
    text = report_page(
        "<title>", "$lead & more", '"draft" <i>', [ReportRow(str(films / "a.png"), report, "<u>")]
    )
    page = Page(text)
    assert {"<b>heart</b> & $lungs", "<title>", "$lead & more", '"draft" <i>', "<u>"} <= set(page.texts)


def test_film_without_a_report_says_why(films: Path) -> None:
    row = ReportRow(str(films / "b.jpg"), FilmError("b.jpg: is damaged"), DISCLAIMER)
    page = Page(report_page("Reports", "", DISCLAIMER, [row]))
    assert "No report: b.jpg: is damaged" in page.texts
    encoded = b64encode((films / "b.jpg").read_bytes()).decode()
    assert page.images == [f"data:image/jpeg;base64,{encoded}"]


def test_folder_that_can_not_be_made_is_exit_code_2(run: Run) -> None:
    Path("file").touch()
    result = run("demo", "--out", "file/demo")
    assert result.exit_code == 2
    assert "can't be written" in result.stderr
