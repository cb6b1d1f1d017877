"""The page as a whole: it holds all of a record, needs nothing else, and lets nothing through unescaped."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cxrscribe.json_object import JsonObject
from cxrscribe_bench.page import write_page
from cxrscribe_bench.page.page import page
from cxrscribe_bench.results.record import NOT_MLPERF, Record
from support.bench_record import DISCLAIMER, RecordMaker

_VOID = {"meta", "link", "br", "img", "hr", "input", "path", "circle"}
_SECTIONS = [
    "peers",
    "stages",
    "real-sizes",
    "latency",
    "scaling",
    "quality",
    "loadgen",
    "startup",
    "words",
    "missing",
    "conditions",
]
_EMPTY = Record({}, {}, {}, (), (), (), (), (), {}, {})


class Outline(HTMLParser):
    """Elements, texts and attributes of a page; fails where an element isn't closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def record() -> Record:
    return RecordMaker(latency_samples=64).full()


@pytest.fixture(scope="module")
def text(record: Record) -> str:
    return page(record)


@pytest.fixture(scope="module")
def outline(text: str) -> Outline:
    return Outline(text)


def test_full_record_has_every_section_once_and_links_to_it(outline: Outline) -> None:
    assert [each["id"] for each in outline.having("section")] == _SECTIONS
    assert [each["href"] for each in outline.having("a")] == [f"#{name}" for name in _SECTIONS]


def test_page_asks_for_nothing_and_runs_nothing(text: str, outline: Outline) -> None:
    names = {name for name, _ in outline.elements}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "form"}
    assert "://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not [key for _, each in outline.elements for key in each if key.startswith("on")]


def test_each_chart_says_what_it_is(outline: Outline) -> None:
    charts = outline.having("figure") + [each for each in outline.having("svg") if each.get("role") == "img"]
    assert len(charts) > 20
    assert all(each["aria-label"] for each in charts)


def test_same_record_gives_same_page(record: Record, text: str) -> None:
    assert page(record) == text


def test_record_of_nothing_gives_a_page_without_sections() -> None:
    assert not Outline(page(_EMPTY)).having("section")


@pytest.mark.parametrize("name", [each.name for each in fields(Record) if each.name != "cxrscribe_bench"])
def test_any_part_of_a_record_may_be_absent(record: Record, name: str) -> None:
    Outline(page(replace(record, **{name: getattr(_EMPTY, name)})))


@pytest.mark.parametrize("name", [each.name for each in fields(Record) if each.name != "cxrscribe_bench"])
def test_any_part_of_a_record_may_stand_alone(record: Record, name: str) -> None:
    Outline(page(replace(_EMPTY, **{name: getattr(record, name)})))


@pytest.mark.parametrize(
    "group", ["offline/films", "single/films", "encoder", "stages", "real sizes", "floor", "startup"]
)
def test_any_group_may_stand_alone_with_one_sample_each(record: Record, group: str) -> None:
    alone = tuple(replace(each, seconds=each.seconds[:1]) for each in record.group(group))
    Outline(page(replace(_EMPTY, measurements=alone)))


def test_nothing_from_a_record_is_taken_for_html(record: Record) -> None:
    text = page(_poisoned(record))
    assert "<poison" not in text
    assert '"poison' not in text
    assert "&lt;poison&gt;" in text
    Outline(text)


def test_failed_words_are_said_before_all_else(record: Record) -> None:
    failed = replace(record.checks[0], identical=3)
    text = page(replace(record, checks=(failed, *record.checks[1:])))
    assert text.index("The words differ where they must not") < text.index('class="cards"')
    assert "The words differ" not in page(record)


def test_notice_opens_the_loadgen_section_and_closes_the_page(text: str) -> None:
    section = text[text.index('id="loadgen"') :]
    assert section.index(NOT_MLPERF) < section.index("<table")
    assert text.index(NOT_MLPERF, text.index("<footer>"))


def test_invalid_scenario_is_called_so_and_its_summary_is_unchanged(record: Record, text: str) -> None:
    assert len(re.findall(">INVALID<", text)) == 1
    assert len(re.findall(">VALID<", text)) == 4
    for each in record.scenarios:
        assert each.summary in text


def test_disclaimer_what_is_absent_and_why_are_told(record: Record, text: str) -> None:
    assert DISCLAIMER in text
    for reason in record.absent.values():
        assert reason.replace("'", "&#x27;") in text


def test_goals_reached_and_not_have_a_panel_each(text: str) -> None:
    assert "Reached <span" in text
    assert "4 of 7" in text
    assert "Not reached <span" in text
    assert "3 of 7" in text


def test_five_thousand_samples_leave_the_page_small(tmp_path: Path) -> None:
    maker = RecordMaker(latency_samples=5000)
    record = replace(maker.full(), measurements=())
    write_page(record, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 300_000


def _poisoned(record: Record) -> Record:
    """With a tag and a quote in every text."""
    return Record.from_json(JsonObject(_poison(json.loads(json.dumps(record.to_json()))), "bench.json"))


def _poison(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _poison(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_poison(each) for each in value]
    # Groups and systems are what parts are found by.
    if isinstance(value, str) and key not in ("group", "system", "source", "start", "point", "stage"):
        return f'{value}<poison>"poison' if key != "precision" or value != "fp32" else value
    return value
