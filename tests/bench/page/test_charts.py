"""Where things stand in a chart."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cxrscribe_bench.page.bars import Bar, Segment, Stack, bar_chart, stack_chart
from cxrscribe_bench.page.distribution import Distribution, distribution_chart
from cxrscribe_bench.page.markup import Markup, joined, markup, section, table
from cxrscribe_bench.page.plot import Line, Plot, draw
from cxrscribe_bench.page.scale import Scale
from cxrscribe_bench.results.figures import significant, times
from cxrscribe_bench.results.samples import Estimate

_SPAN = r'class="{}" style="left:([\d.]+)%;width:([\d.]+)%"'


def test_bars_go_from_the_origin_to_either_side_with_their_interval() -> None:
    bars = [Bar("faster", Estimate(10, 1, 100), "10×"), Bar("slower", Estimate(0.1, 0.1, 0.1), "0.1×")]
    text = bar_chart("bars", bars, Scale(0.01, 100, is_log=True), 1, tick=times)
    assert re.findall(_SPAN.format("bar"), text) == [("50.00", "25.00"), ("25.00", "25.00")]
    assert re.findall(_SPAN.format("whisker"), text) == [("50.00", "50.00")]  # the other's spread is unknown


def test_parts_of_a_stack_follow_one_another() -> None:
    stack = Stack("fp32", (Segment("encode", 3, "3 ms"), Segment("search", 1, "1 ms")), "4 ms", whole=2)
    text = stack_chart("stages", [stack], Scale(0, 4), significant)
    assert re.findall(_SPAN.format(r"bar part\d"), text) == [("0.00", "75.00"), ("75.00", "25.00")]
    assert 'class="whole" style="left:50.00%"' in text
    assert "encode <b>3 ms</b>" in text


def test_percentiles_are_marked_where_they_are() -> None:
    seconds = np.linspace(1, 3, 201)
    text = distribution_chart("spread", [Distribution("one", "", seconds.tolist(), "ours")])
    places = dict(re.findall(r'class="mark (p\d+)" style="left:([\d.]+)%"', text))
    low, high = 1 / 1.06, 3 * 1.06
    for name, seconds_there in (("p50", 2.0), ("p90", 2.8), ("p99", 2.98)):
        assert float(places[name]) == pytest.approx(100 * (seconds_there - low) / (high - low), abs=0.01)
    assert "2.80 s" in text


def test_few_samples_are_dots_and_many_are_a_shape_of_bounded_size() -> None:
    few = distribution_chart("spread", [Distribution("one", "", [1.0, 2.0, 3.0], "ours")])
    assert few.count('class="sample"') == 3
    assert "<path" not in few
    noise = np.random.default_rng(0).lognormal(0, 1, 100_000)
    many = distribution_chart("spread", [Distribution("one", "", noise.tolist(), "ours")])
    assert "<path" in many
    assert len(many) < 8_000


def test_labels_of_lines_that_end_together_stand_apart() -> None:
    lines = tuple(Line(name, ((1, Estimate(1, 1, 1)), (2, Estimate(5, 5, 5))), 0) for name in "abc")
    plot = Plot("time", "films", lines, Scale(1, 2), (1, 2), Scale(0, 5.2), significant)
    places = [
        float(y) for y in re.findall(r'<text class="tone0" x="[\d.]+" y="([\d.]+)"', draw(plot, "plot"))
    ]
    assert len(places) == 3
    assert np.diff(places).min() >= 28
    bottom = Plot("time", "films", lines, Scale(1, 2), (1, 2), Scale(4.9, 9), significant)
    places = [
        float(y) for y in re.findall(r'<text class="tone0" x="[\d.]+" y="([\d.]+)"', draw(bottom, "plot"))
    ]
    assert np.diff(places).min() >= 28
    assert max(places) <= bottom.height


def test_ticks_that_would_collide_are_left_out_but_the_last() -> None:
    line = Line("", ((1, Estimate(1, 1, 1)), (100, Estimate(2, 2, 2))), 0)
    plot = Plot("time", "films", (line,), Scale(1, 100), (1, 2, 3, 50, 99, 100), Scale(0, 2), significant)
    text = draw(plot, "plot")
    shown = re.findall(r'class="middle">([\d.]+)<', text)
    assert shown == ["3", "50", "100"]


def test_markup_escapes_whatever_is_not_markup() -> None:
    assert markup("<b>{a}{b}</b>", a="<i>", b=Markup("<i>")) == "<b>&lt;i&gt;<i></b>"
    assert joined([Markup("a"), Markup(), Markup("b")]) == "a\nb"
    assert "&lt;x&gt;" in table("<x>", ["a", "b"], [["c", "d"]])


def test_section_of_nothing_is_nothing() -> None:
    assert section("name", "Title", "lead", [Markup()]) == ""
