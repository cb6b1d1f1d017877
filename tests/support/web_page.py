"""The page for browsers: built, served so that every request is known, and used as people use it."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import cxrscribe
from cxrscribe.cli.page_server import HEADERS, PageRequest, PageServer
from support.skips import skip_or_fail

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SOURCE = Path(__file__).resolve().parents[2] / "examples" / "web"
PATIENCE = 120_000
"""Milliseconds for what takes a second on an idle machine."""
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def npm_packages() -> Path:
    """The page's npm packages, installed in the checkout if they aren't there at the versions wanted."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            skip_or_fail(f"no {program} on this machine, with which the page is built")
    description = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))
    folder = SOURCE / "node_modules"

    def is_there(name: str, version: str) -> bool:
        file = folder / name / "package.json"
        return file.is_file() and json.loads(file.read_text(encoding="utf-8"))["version"] == version

    wanted = {**description["dependencies"], **description["devDependencies"]}
    if not all(is_there(name, version) for name, version in wanted.items()):
        npm("run", "setup")
    return folder


def npm(*arguments: str) -> str:
    """Run npm where the page's source is, and give what it printed."""
    command = [shutil.which("npm") or "npm", *arguments]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def chromium() -> str:
    """The path of a browser."""
    for name in _CHROMIUM:
        path = shutil.which(name)
        if path is not None:
            return path
    return skip_or_fail("no Chromium on this machine, in which the page is tried")


def launch_options() -> dict[str, Any]:
    """How playwright starts it: with nothing that asks for anything by itself."""
    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    # Its sandbox refuses root, which containers run as.
    as_root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return {"executable_path": chromium(), "args": [*quiet, *as_root]}


@dataclass
class Served:
    """A page at an address of this machine, and what was asked for there."""

    url: str
    requests: list[str] = field(default_factory=list)
    gate: Event = field(default_factory=Event)
    """Until it is set, the second half of the model doesn't come."""
    stop: Callable[[], None] = lambda: None
    """End the server."""

    def __post_init__(self) -> None:
        self.gate.set()


@contextmanager
def served(folder: Path, *, isolated: bool = True, compressed: bool = False) -> Iterator[Served]:
    """Serve a page as `cxrscribe demo --web` does; not `isolated`: without the headers that allow threads."""
    page = Served("")

    class Request(PageRequest):
        def send_header(self, keyword: str, value: str) -> None:
            if isolated or not keyword.startswith("Cross-Origin"):
                super().send_header(keyword, value)

        def do_GET(self) -> None:  # noqa: N802, its name is the method's of HTTP
            page.requests.append(self.path)
            if self.path != "/model.onnx":
                return super().do_GET()
            content = (folder / "model.onnx").read_bytes()
            if compressed:
                content = gzip.compress(content)
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            for name, value in {**HEADERS, **({"Content-Encoding": "gzip"} if compressed else {})}.items():
                self.send_header(name, value)
            self.end_headers()
            half = len(content) // 2
            self.wfile.write(content[:half])
            page.gate.wait(PATIENCE / 1000)
            self.wfile.write(content[half:])
            return None

    with PageServer(folder, handler=Request) as server:
        page.url = server.url
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()

        def stop() -> None:
            page.gate.set()
            server.shutdown()
            server.server_close()
            thread.join()

        page.stop = stop
        try:
            yield page
        finally:
            stop()


class WebPage:
    """One tab with the page, and everything that it asked the network for or complained of."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.set_default_timeout(PATIENCE)
        self.context.on("request", lambda request: self._asked(request.url))
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _asked(self, url: str) -> None:
        if not url.startswith("blob:"):  # what the page gives itself
            self.requests.append(url)

    def _heard(self, kind: str, text: str) -> None:
        # The advice is for tests that look at pixels.
        if kind in ("error", "warning") and "willReadFrequently" not in text:
            self.complaints.append(text)

    @property
    def state(self) -> str:
        return self.page.locator("body").get_attribute("data-state") or ""

    def wait_until(self, state: str = "ready") -> None:
        self.page.locator(f"body[data-state={state}]").wait_for()

    def add(self, *films: Path) -> None:
        """Choose films as people do in the browser's own window."""
        self.page.locator("input[type=file][multiple]").set_input_files([str(film) for film in films])

    def settled(self) -> None:
        """Wait until each film has a report or an error."""
        films = self.page.locator("article[data-film]")
        films.first.wait_for()
        busy = films.and_(self.page.locator(":not([data-state=done]):not([data-state=failed])"))
        busy.first.wait_for(state="detached")

    def states(self) -> dict[str, str]:
        """Of each film, by its name."""
        return self._of_films("card => card.dataset.state")

    def reports(self) -> dict[str, str]:
        """The best report of each film, by its name."""
        return self._of_films("card => card.querySelector('[data-report]').textContent")

    def errors(self) -> dict[str, str]:
        """What is said to be wrong with each film, by its name."""
        return self._of_films("card => card.querySelector('[data-error]').textContent")

    def _of_films(self, what: str) -> dict[str, str]:
        found: list[tuple[str, str]] = self.page.locator("article[data-film]").evaluate_all(
            f"cards => cards.map(card => [card.dataset.name, ({what})(card)])"
        )
        return dict(found)

    def rows(self) -> list[dict[str, Any]]:
        """What its button downloads."""
        with self.page.expect_download() as started:
            self.page.get_by_role("button", name="Download all as JSON").click()
        rows: list[dict[str, Any]] = json.loads(Path(started.value.path()).read_text(encoding="utf-8"))
        return rows

    def close(self) -> None:
        self.context.close()


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[WebPage]:
    """A tab with the page, loaded and ready."""
    page = WebPage(browser, url, **options)
    try:
        page.wait_until("ready")
        page.requests.clear()
        yield page
    finally:
        page.close()


def python_reports(
    bundle: Path, films: Iterable[Path], **asked: Any
) -> dict[str, cxrscribe.Report | cxrscribe.FilmError]:
    """What the Python runtime writes of the same films, by name."""
    films = list(films)
    with cxrscribe.load(bundle, device="cpu", cache=False) as reporter:
        outcomes = reporter.report_batch(films, **asked)
    return {film.name: outcome for film, outcome in zip(films, outcomes, strict=True)}
