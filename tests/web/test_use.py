"""The page in people's hands: by keyboard alone, on a phone, in the dark, and with a screen reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from support.web_page import Served, WebPage, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

FILMS = cxrscribe.demo_films()


@pytest.fixture(scope="module")
def dicom_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pydicom", reason="needs the extra dicom")
    from support.dicom_file import dicom, written

    grey = np.asarray(Image.open(FILMS[1]).convert("L")).astype(np.uint16)
    path = tmp_path_factory.mktemp("dicom") / "film.dcm"
    path.write_bytes(written(dicom(grey * 16, bits=12, WindowCenter=2000, WindowWidth=3200)))
    return path


def tab_to(page: WebPage, what: Locator, most: int = 80) -> None:
    """Press Tab until it has the focus."""
    for _ in range(most):
        page.page.keyboard.press("Tab")
        if what.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"Tab doesn't come to {what}")


def brightness(page: WebPage) -> float:
    """The mean of what is seen of the first film, once it has been drawn."""
    mean: float = page.page.locator("canvas").first.evaluate(
        """async canvas => {
          for (let frame = 0; frame < 3; frame++) await new Promise(requestAnimationFrame);
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          let sum = 0;
          for (let place = 0; place < data.length; place += 4) sum += data[place];
          return sum / (data.length / 4);
        }"""
    )
    return mean


def test_by_keyboard_alone(demo: WebPage, dicom_film: Path) -> None:
    page = demo.page
    page.locator("body").press("Home")
    tab_to(demo, page.locator("input[type=file]"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([str(dicom_film), str(FILMS[0])])
    demo.settled()

    card = page.locator("article[data-film]").first
    level = card.get_by_label("Level")
    tab_to(demo, card.locator("canvas"))
    before, own = brightness(demo), level.input_value()
    for _ in range(5):
        page.keyboard.press("Shift+ArrowUp")
    brighter = brightness(demo)
    assert brighter > before + 1
    assert level.input_value() != own
    page.keyboard.press("r")
    assert brightness(demo) == pytest.approx(before, abs=0.01)
    assert level.input_value() == own
    page.keyboard.press("i")
    assert abs(brightness(demo) - before) > 1
    page.keyboard.press("i")
    scale = card.locator("[data-part=scale]")
    fitted = scale.inner_text()
    page.keyboard.press("+")
    brightness(demo)
    assert scale.inner_text() != fitted
    page.keyboard.press("0")
    brightness(demo)
    assert scale.inner_text() == fitted

    tab_to(demo, level)
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("600")
    page.keyboard.press("Enter")
    assert brightness(demo) > before + 1

    remove = page.get_by_role("button", name=f"Remove {FILMS[0].name}")
    tab_to(demo, remove)
    page.keyboard.press("Enter")
    assert list(demo.states()) == [dicom_film.name]
    # The focus isn't lost with what had it.
    assert page.evaluate("() => document.activeElement !== document.body")


def test_window_by_mouse(demo: WebPage, dicom_film: Path) -> None:
    """It changes what is seen, and not the report."""
    demo.add(dicom_film)
    demo.settled()
    report, before = demo.reports(), brightness(demo)
    page = demo.page
    canvas = page.locator("canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box is not None
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0], middle[1] - 80, steps=4)
    page.mouse.up()
    assert abs(brightness(demo) - before) > 1
    page.get_by_role("button", name="Reset window").click()
    assert brightness(demo) == pytest.approx(before, abs=0.01)
    assert demo.reports() == report


def test_films_may_be_dropped(demo: WebPage) -> None:
    content = FILMS[2].read_bytes()
    transfer = demo.page.evaluate_handle(
        """bytes => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
          return transfer;
        }""",
        list(content),
    )
    for event in ("dragenter", "dragover", "drop"):
        demo.page.dispatch_event("main", event, {"dataTransfer": transfer})
    demo.settled()
    assert demo.states() == {"dropped.png": "done"}


def test_copies_have_the_disclaimer(browser: Browser, demo_server: Served) -> None:
    with opened(browser, demo_server.url, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.add(FILMS[0])
        page.settled()
        page.page.get_by_role("button", name="Copy report").click()
        page.page.get_by_role("button", name="Copied").wait_for()
        copied = page.page.evaluate("() => navigator.clipboard.readText()")
        assert page.reports()[FILMS[0].name] in copied
        assert page.page.locator("#disclaimer").inner_text() in copied


def test_the_disclaimer_is_always_seen(demo: WebPage) -> None:
    demo.add(*FILMS[:3])
    demo.settled()
    for key in ("End", "Home"):
        demo.page.keyboard.press(key)
        box = demo.page.locator("#disclaimer").bounding_box()
        size = demo.page.viewport_size
        assert box is not None
        assert size is not None
        assert 0 <= box["y"] <= box["y"] + box["height"] <= size["height"]


VIEWS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 320, "height": 640}, "has_touch": True},
}


@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_barrier(
    browser: Browser, demo_server: Served, packages: Path, dicom_film: Path, tmp_path: Path, view: str
) -> None:
    """By the rules of axe-core, with films of every state, and all that can be unfolded."""
    axe = (packages / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    bad = tmp_path / "a-name-without-any-place-to-break-it-that-is-as-long-as-those-of-archives.png"
    bad.write_text("no film")
    with opened(browser, demo_server.url, **VIEWS[view]) as page:
        page.add(FILMS[0], dicom_film, bad)
        page.settled()
        page.page.get_by_text("Settings", exact=True).click()
        page.page.get_by_label("Results shown").fill("3")
        page.page.evaluate(axe)
        violations = page.page.evaluate("async () => (await axe.run()).violations")
        serious = [
            (one["id"], [node["html"] for node in one["nodes"]])
            for one in violations
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == []
        width, seen = page.page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert width <= seen
        assert page.complaints == []
