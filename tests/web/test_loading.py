"""How the page begins: with and without threads, step by step, and without a model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cxrscribe
from support.web_page import WebPage, opened, python_reports, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FILMS = cxrscribe.demo_films()


@pytest.mark.parametrize("isolated", [True, False])
def test_threads_where_the_page_is_isolated(browser: Browser, demo_page: Path, isolated: bool) -> None:
    """Without the headers that isolate it, it has one, and the same words."""
    with served(demo_page, isolated=isolated) as server, opened(browser, server.url) as page:
        assert page.page.evaluate("() => crossOriginIsolated") is isolated
        cores = page.page.evaluate("() => navigator.hardwareConcurrency")
        threads = min(4, cores) if isolated else 1
        page.add(FILMS[0])
        page.settled()
        (row,) = page.rows()
        assert row["model"]["threads"] == threads
        (wanted,) = python_reports(cxrscribe.demo_bundle(), FILMS[:1]).values()
        assert isinstance(wanted, cxrscribe.Report)
        assert row["text"] == wanted.text
        assert page.complaints == []


@pytest.mark.parametrize("compressed", [False, True])
def test_progress(browser: Browser, demo_page: Path, compressed: bool) -> None:
    """In megabytes, of how many where the server tells; films may be added meanwhile."""
    with served(demo_page, compressed=compressed) as server:
        server.gate.clear()
        page = WebPage(browser, server.url)
        try:
            bar = page.page.locator("#progress")
            said = page.page.get_by_text("of 16." if not compressed else "MB").first
            said.wait_for()
            page.add(FILMS[0])
            page.page.locator("article[data-film][data-state=waiting]").wait_for()
            assert page.state == "loading"
            if not compressed:
                value, most = (float(bar.evaluate(f"bar => bar.{name}")) for name in ("value", "max"))
                assert 0 <= value < most
            server.gate.set()
            page.wait_until("ready")
            page.settled()
            assert page.states() == {FILMS[0].name: "done"}
            assert not bar.is_visible()
        finally:
            page.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "model.onnx can't be loaded"),
        (b"", "not a file of `cxrscribe onefile`"),
        (b"damaged" * 1000, "not a file of `cxrscribe onefile`"),
    ],
)
def test_without_a_model_it_says_so(
    browser: Browser, demo_page: Path, tmp_path: Path, content: bytes | None, said: str
) -> None:
    folder = tmp_path / "page"
    shutil.copytree(demo_page, folder)
    (folder / "model.onnx").write_bytes(content or b"")
    with served(folder) as server:
        if content is None:
            (folder / "model.onnx").unlink()
        page = WebPage(browser, server.url)
        try:
            page.wait_until("broken")
            page.page.get_by_role("alert").filter(has_text=said).wait_for()
        finally:
            page.close()


def test_a_model_of_another_variant_is_refused(browser: Browser, page_of: object, tmp_path: Path) -> None:
    assert callable(page_of)
    folder = page_of(cxrscribe.demo_bundle(), "--settings", "defaults")
    with served(folder) as server:
        page = WebPage(browser, server.url)
        try:
            page.wait_until("broken")
            page.page.get_by_role("alert").filter(has_text="--settings inputs").wait_for()
        finally:
            page.close()


def test_webgpu_that_is_not_there_is_said(browser: Browser, demo_page: Path) -> None:
    """The page writes reports without it."""
    with served(demo_page) as server, opened(browser, f"{server.url}?encoder=webgpu") as page:
        page.add(FILMS[0])
        page.settled()
        assert page.rows()[0]["model"]["encoder"] == "WASM"
        assert "WebGPU can’t be used here" in page.page.locator("#model").inner_text()
