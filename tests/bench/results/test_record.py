from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxrscribe.errors import InputError
from cxrscribe.json_object import JsonObject
from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Goal, Record, TokenCheck
from cxrscribe_bench.results.samples import Estimate
from support.bench_record import RecordMaker


def test_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    record = RecordMaker().full()
    record.write(tmp_path)
    assert Record.read(tmp_path) == record
    assert Record.read(tmp_path / "bench.json") == record


def test_file_says_that_it_is_no_mlperf_result_and_holds_every_raw_sample(tmp_path: Path) -> None:
    record = RecordMaker().full()
    fields = json.loads(record.write(tmp_path).read_text(encoding="utf-8"))
    assert "not an MLPerf result" in fields["notice"]
    assert [len(each["seconds"]) for each in fields["measurements"]] == [
        len(each.seconds) for each in record.measurements
    ]
    assert set(fields["measurements"][0]["percentiles"]) == {"50", "90", "99"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not valid JSON"),
        ("[]", "not a JSON object"),
        ("{}", "schema: None"),
        ('{"cxrscribe_bench": 99}', "schema: 99"),
        ('{"cxrscribe_bench": 1}', "has no field 'environment'"),
    ],
)
def test_what_is_no_record_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "bench.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"bench\.json .*{complaint}"):
        Record.read(tmp_path)


def test_missing_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        Record.read(tmp_path / "nowhere")


def test_check_passes_with_near_ties_in_one_of_two_hundred_and_no_other_difference() -> None:
    def check(reports: int, identical: int, near_ties: int) -> bool:
        return TokenCheck("ours", "films", "fp32", "loops", reports, identical, near_ties).passed

    assert check(200, 200, 0)
    assert check(200, 199, 1)
    assert not check(200, 199, 0)
    assert not check(199, 198, 1)
    assert not check(200, 198, 1)


def test_drift_is_a_required_check_that_fails() -> None:
    record = RecordMaker().full()
    ours, peer = (
        TokenCheck("one", "films", "fp32", "loops", 8, 7, is_required=required) for required in (True, False)
    )
    changed = Record(**{**vars(record), "checks": (ours, peer)})
    assert changed.drifted == (ours,)


def test_goal_is_reached_from_its_own_side() -> None:
    estimate = Estimate(2.0, 1.9, 2.1)
    assert Goal("ratio", estimate, 2.0, at_most=False).reached
    assert Goal("ratio", estimate, 2.0, at_most=True).reached
    assert not Goal("ratio", estimate, 2.5, at_most=False).reached
    assert not Goal("ratio", estimate, 1.5, at_most=True).reached


def test_measurement_counts_items_and_words_a_second() -> None:
    one = Measurement("group", "one", (2.0, 4.0, 2.0), items=8, words=100)
    other = Measurement("group", "other", (1.0, 2.0, 1.0), items=1)
    assert one.per_second == 4.0
    assert one.words_per_second == 50.0
    assert one.times_faster_than(other).value == 4.0
    assert Measurement.from_json(JsonObject(one.to_json(), "bench.json")) == one


@pytest.mark.parametrize(("seconds", "items"), [((), 1), ((1.0,), 0)])
def test_measurement_without_sample_or_item_is_refused(seconds: tuple[float, ...], items: int) -> None:
    with pytest.raises(ValueError, match="no sample, or no item"):
        Measurement("group", "name", seconds, items)
