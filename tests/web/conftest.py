"""The page with the demo model, and a browser to try it in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import cxrscribe
from cxrscribe.cli.main import main
from support.skips import skip_or_fail
from support.web_page import Served, WebPage, launch_options, npm, npm_packages, opened, served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder of the page's npm packages."""
    return npm_packages()


@pytest.fixture(scope="session")
def page_without_model(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built page, which no test may change."""
    folder = tmp_path_factory.mktemp("page")
    npm("run", "build", "--", str(folder))
    return folder


@pytest.fixture(scope="session")
def page_of(page_without_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Builds a page with the model of a bundle."""
    pytest.importorskip("onnx", reason="needs the extra onefile")

    def made(bundle: Path, *options: str) -> Path:
        folder = tmp_path_factory.mktemp("built") / "web"
        shutil.copytree(page_without_model, folder)
        variant = ["--input", "film", "--settings", "inputs", "--out", str(folder / "model.onnx")]
        done = CliRunner().invoke(main, ["onefile", str(bundle), *variant, *options])
        assert done.exit_code == 0, done.output
        return folder

    return made


@pytest.fixture(scope="session")
def demo_page(page_of: Callable[..., Path]) -> Path:
    """The page that `make web` builds."""
    return page_of(cxrscribe.demo_bundle(), "--weights", "fp16")


@pytest.fixture(scope="session")
def exact_page(page_of: Callable[..., Path]) -> Path:
    """The same with the demo model's weights as they are, whose results are Python's in every place."""
    return page_of(cxrscribe.demo_bundle())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file: while it is there, no event loop can run beside it."""
    options: dict[str, Any] = launch_options()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_or_fail("no playwright in this environment, which drives the browser")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(**options)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def demo_server(demo_page: Path) -> Iterator[Served]:
    """The demo's page, served."""
    with served(demo_page) as page:
        yield page


@pytest.fixture
def demo(browser: Browser, demo_server: Served) -> Iterator[WebPage]:
    """A tab with the demo's page, ready. Later requests and complaints of the browser fail the test."""
    with opened(browser, demo_server.url) as page:
        yield page
        assert page.complaints == []
        assert page.requests == []
