from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscribe_bench.results.real_sizes import costs_table, format_costs
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.summary import summary, terminal_table
from support.bench_record import RecordMaker


@pytest.fixture(scope="module")
def record() -> Record:
    return RecordMaker(latency_samples=8).full()


def test_each_format_has_its_costs_by_precision(record: Record) -> None:
    png, jpeg = format_costs(record)
    assert (png.name, jpeg.name) == ("PNG, 16 bits", "JPEG")
    assert (png.file_bytes, jpeg.file_bytes) == (5_650_501, 462_455)
    assert png.read_seconds == pytest.approx(0.097, rel=0.1)
    assert png.side_by_side_seconds == pytest.approx(0.053 * 0.97, rel=0.1)
    assert [way.precision for way in png.ways] == ["fp32", "int8"]
    int8 = png.ways[1]
    assert int8.seconds == pytest.approx(1e-3 * (20.3 + 3.9 + 0.55 * 97), rel=0.1)
    assert int8.of_encoder is not None
    assert int8.of_encoder.value == pytest.approx(20.3 / 77.55, rel=0.15)
    assert int8.capacity is not None
    assert int8.capacity.share.value == pytest.approx((97 / 2 + 20.3 + 3.9) / 77.55, rel=0.1)


def test_summary_and_terminal_show_them(record: Record) -> None:
    markdown, terminal = summary(record), terminal_table(record)
    assert "| PNG, 16 bits | 5.65 MB |" in markdown
    assert "int8: film to text, ms" in markdown
    assert "Large films, JPEG: reading" in terminal
    assert "Large films" not in terminal_table(replace(record, measurements=()))


def test_what_was_not_measured_is_a_dash(record: Record) -> None:
    found = [each for each in record.group("real sizes") if each.labels["stage"] == "film to text"]
    _, rows = costs_table(format_costs(replace(record, measurements=tuple(found[:1]))))
    ((name, *cells),) = rows
    assert name == "PNG, 16 bits"
    assert [cell == "–" for cell in cells] == [True, True, True, False, True, True]


def test_stages_stand_in_the_summary_with_both_shares(record: Record) -> None:
    (line,) = (line for line in summary(record).splitlines() if line.startswith("| int8 | 4."))
    assert line.count("%") == 6
