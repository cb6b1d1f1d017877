"""The page writes what the Python runtime writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe import BeamSettings, Report
from support.web_page import WebPage, opened, python_reports, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FILMS = cxrscribe.demo_films()


@pytest.fixture(scope="module")
def exact_url(exact_page: Path) -> Iterator[str]:
    with served(exact_page) as page:
        yield page.url


@pytest.fixture
def exact(browser: Browser, exact_url: str) -> Iterator[WebPage]:
    with opened(browser, exact_url) as page:
        yield page
        assert page.complaints == []
        assert page.requests == []


def assert_same(page: WebPage, films: list[Path], **asked: Any) -> None:
    """Each film has Python's best report on the page, and all of its results in the JSON."""
    wanted = python_reports(cxrscribe.demo_bundle(), films, **asked)
    shown, rows = page.reports(), {row["film"]: row for row in page.rows()}
    for name, report in wanted.items():
        assert isinstance(report, Report), report
        row = rows[name]
        assert row["error"] is None
        assert shown[name] == row["text"] == report.text, name
        assert row["score"] == pytest.approx(report.score, abs=1e-3)
        assert row["finished"] is report.finished
        assert row["disclaimer"] == page.page.locator("#disclaimer").inner_text()
        texts = [other["text"] for other in row["alternatives"]]
        assert texts == [other.text for other in report.alternatives], name


def test_words_of_the_demo_films_are_pythons(demo: WebPage) -> None:
    """With weights stored as half, as `make web` stores the demo's."""
    demo.add(*FILMS)
    demo.settled()
    wanted = python_reports(cxrscribe.demo_bundle(), FILMS)
    assert demo.reports() == {
        name: report.text for name, report in wanted.items() if isinstance(report, Report)
    }
    assert set(demo.states().values()) == {"done"}


def test_all_results_under_other_settings(exact: WebPage) -> None:
    """New settings count for films that come after them, and by a button for those that are here."""
    page = exact.page
    exact.add(*FILMS[:2])
    exact.settled()
    page.get_by_text("Settings", exact=True).click()
    for label, value in (
        ("Beam width", "5"),
        ("Results shown", "4"),
        ("Maximum length", "40"),
        ("Minimum length", "25"),
        ("Length penalty", "0.7"),
    ):
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Apply to all films").click()
    exact.add(FILMS[2])
    exact.settled()
    asked = BeamSettings(beam_width=5, n_best=4, max_length=40, min_length=25, length_penalty=0.7)
    assert_same(exact, list(FILMS[:3]), settings=asked)
    assert page.locator("article[data-film]").first.get_by_role("listitem").count() == 3


def test_reports_that_are_cut_say_so(exact: WebPage) -> None:
    exact.page.get_by_text("Settings", exact=True).click()
    exact.page.get_by_label("Maximum length").fill("4")
    exact.add(FILMS[0])
    exact.settled()
    (row,) = exact.rows()
    assert row["finished"] is False
    assert "cut" in exact.page.locator("article[data-film]").inner_text()


@pytest.fixture(scope="module")
def dicom_kinds(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A demo film in DICOM of every kind that the page reads."""
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from support.drawn_dicoms import drawn_dicoms

    folder = tmp_path_factory.mktemp("kinds")
    grey = np.asarray(Image.open(FILMS[1]).convert("L"))
    for name, content in drawn_dicoms(grey).items():
        (folder / f"{name}.dcm").write_bytes(content)
    return sorted(folder.iterdir())


def test_dicom_of_every_kind(exact: WebPage, dicom_kinds: list[Path]) -> None:
    exact.add(*dicom_kinds)
    exact.settled()
    assert {name: error for name, error in exact.errors().items() if error} == {}
    assert_same(exact, dicom_kinds)


def test_jpeg_and_png_of_other_kinds(exact: WebPage, tmp_path: Path) -> None:
    film = Image.open(FILMS[3]).convert("L")
    wide = Image.fromarray(np.asarray(film).astype(np.uint16) * 257)
    film.save(tmp_path / "grey.jpg", quality=90)
    film.convert("RGB").save(tmp_path / "progressive.jpg", quality=80, progressive=True)
    film.resize((1700, 1500)).save(tmp_path / "reduced.jpg", quality=85)
    film.quantize(200).save(tmp_path / "palette.png")
    wide.save(tmp_path / "wide.png")
    films = sorted(tmp_path.iterdir())
    exact.add(*films)
    exact.settled()
    assert_same(exact, films)


@pytest.mark.slow
def test_twenty_megapixels(exact: WebPage, tmp_path: Path) -> None:
    film = Image.open(FILMS[0]).convert("L").resize((4000, 5000))
    film.save(tmp_path / "large.png")
    wide = np.asarray(film).astype(np.uint16) * 257
    Image.fromarray(wide).save(tmp_path / "large-16-bits.png")
    films = sorted(tmp_path.iterdir())
    exact.add(*films)
    exact.settled()
    assert_same(exact, films)
    # It is drawn, and not larger than what is seen of it.
    width = exact.page.locator("canvas").first.evaluate("canvas => canvas.width")
    assert 100 < width <= 2048


def bad_films(folder: Path) -> list[Path]:
    png, jpeg = folder / "whole.png", folder / "whole.jpg"
    film = Image.open(FILMS[4]).convert("L")
    film.save(png)
    film.save(jpeg)
    contents = {
        "empty.png": b"",
        "text.txt": b"no film\n",
        "cut.png": png.read_bytes()[:-2000],
        "cut.jpg": jpeg.read_bytes()[:-2000],
        "cut.dcm": b"\0" * 128 + b"DICM\x02\x00\x10\x00UI\x14\x00",
        "<img src=x onerror=alert(1)>.png": b"\x89PNG\r\n\x1a\n",
    }
    for path in (png, jpeg):
        path.unlink()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def test_bad_films_cost_themselves_alone(exact: WebPage, tmp_path: Path) -> None:
    bad = bad_films(tmp_path)
    exact.add(bad[0], FILMS[0], *bad[1:], FILMS[1])
    exact.settled()
    states, errors = exact.states(), exact.errors()
    assert {states[film.name] for film in bad} == {"failed"}
    assert all(len(errors[film.name]) > 10 for film in bad), errors
    assert_same(exact, list(FILMS[:2]))
    rows = {row["film"]: row for row in exact.rows()}
    assert all(rows[film.name]["error"] and rows[film.name]["text"] is None for film in bad)
    assert exact.page.get_by_role("alert").filter(has_text=errors["text.txt"]).count() == 1


def test_damaged_codestreams_cost_themselves_alone(
    exact: WebPage, dicom_kinds: list[Path], tmp_path: Path
) -> None:
    """What a codec makes of damage ends no other film's report, and no worker for good."""
    random = np.random.default_rng(0)
    damaged = []
    for path in dicom_kinds:
        if not path.stem.startswith(("jpeg", "rle")):
            continue
        content = bytearray(path.read_bytes())
        for place in random.integers(len(content) // 3, len(content), 40):
            content[place] ^= 0xFF
        damaged.append(tmp_path / f"damaged-{path.name}")
        damaged[-1].write_bytes(content)
    exact.add(*damaged, FILMS[0])
    exact.settled()
    assert_same(exact, list(FILMS[:1]))
