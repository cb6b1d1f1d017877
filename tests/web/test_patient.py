"""What is known of the patient: a field where the model reads it, and nothing of it leaves the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cxrscribe
from support.web_page import WebPage, opened, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FILMS = cxrscribe.demo_films()[:2]
TEXTS = ["Chest pain.", "", "COUGH, fever; and 3 weeks of shortness   of breath"]


@pytest.fixture(scope="module")
def patient_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("onnx", reason="needs the extra onefile")
    from support.small_bundle import SmallBundle

    return SmallBundle(patient=4).write(tmp_path_factory.mktemp("patient") / "bundle")


def test_words_are_pythons(browser: Browser, page_of: Callable[..., Path], patient_bundle: Path) -> None:
    with served(page_of(patient_bundle)) as server, opened(browser, server.url) as page:
        field = page.page.get_by_label("What is known of the patient").first
        with cxrscribe.load(patient_bundle, device="cpu", cache=False) as reporter:
            for text in TEXTS:
                field.fill(text)
                page.add(*FILMS)
                page.settled()
                for row, film in zip(page.rows(), FILMS, strict=True):
                    wanted = reporter.report(film, indication=text or None)
                    assert row["text"] == wanted.text
                    assert row["score"] == pytest.approx(wanted.score, abs=1e-4)
                    assert row["indication"] is bool(text)
                    assert not text or text not in str(row)
                page.page.get_by_role("button", name="Clear all").click()
                assert field.input_value() == ""
        # Browsers offer what was typed before, and send what they check to their makers.
        for name, value in {"autocomplete": "off", "spellcheck": "false"}.items():
            assert field.get_attribute(name) == value
        assert page.requests == []
        assert page.complaints == []


def test_a_film_is_reported_again_with_another_text(
    browser: Browser, page_of: Callable[..., Path], patient_bundle: Path
) -> None:
    with served(page_of(patient_bundle)) as server, opened(browser, server.url) as page:
        page.add(FILMS[0])
        page.settled()
        card = page.page.locator("article[data-film]")
        card.get_by_text("What is known of the patient").click()
        card.get_by_role("textbox", name="What is known of the patient").fill(TEXTS[0])
        card.get_by_role("button", name="Report again").click()
        page.settled()
        with cxrscribe.load(patient_bundle, device="cpu", cache=False) as reporter:
            assert page.rows()[0]["text"] == reporter.report(FILMS[0], indication=TEXTS[0]).text
        assert page.rows()[0]["indication"] is True


def test_a_model_that_reads_none_has_no_field(demo: WebPage) -> None:
    demo.add(FILMS[0])
    demo.settled()
    assert demo.page.get_by_label("What is known of the patient").first.is_hidden()
    assert "indication" not in demo.rows()[0]
