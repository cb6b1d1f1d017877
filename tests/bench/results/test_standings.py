from __future__ import annotations

from dataclasses import replace

import pytest

from cxrscribe_bench.results.measurement import Measurement
from cxrscribe_bench.results.record import Record
from cxrscribe_bench.results.standings import absent_parts, absent_systems, standings, times_as_fast
from support.bench_record import RecordMaker


@pytest.fixture(scope="module")
def record() -> Record:
    return RecordMaker(latency_samples=64).full()


def test_rows_go_from_the_fastest_with_ratios_to_ours(record: Record) -> None:
    found = standings(record, "offline/films")
    assert found is not None
    assert [row.seconds for row in found.rows] == sorted(row.seconds for row in found.rows)
    assert found.fp32 is not None
    assert found.best is not None
    assert (found.fp32.precision, found.best.precision) == ("fp32", "int8")
    assert found.fp32.fp32_times is None
    assert found.best.best_times is None
    slowest = found.rows[-1]
    assert slowest.system == "paddle-dynamic"
    assert slowest.fp32_times == found.fp32.measurement.times_faster_than(slowest.measurement)
    assert slowest.best_times == found.best.measurement.times_faster_than(slowest.measurement)


def test_words_are_those_of_the_same_source_and_precision(record: Record) -> None:
    found = standings(record, "offline/features")
    assert found is not None
    words = {row.measurement.name: row.words + row.ties for row in found.rows}
    assert words["plain-onnxruntime/fp32"] == "all 256 identical"
    assert words["openvino-f32/fp32"] == "1 of 256 differ, 1 after near ties"
    assert words["openvino-as-it-comes/as-it-comes"] == "31 of 256 differ"
    encoder = standings(record, "encoder")
    assert encoder is not None
    assert not any(row.words for row in encoder.rows)
    assert encoder.item == "film"


def test_group_without_ours_has_no_ratios_and_group_of_nothing_is_none(record: Record) -> None:
    theirs = tuple(each for each in record.measurements if each.labels.get("system") != "cxrscribe")
    found = standings(replace(record, measurements=theirs), "offline/films")
    assert found is not None
    assert found.fp32 is found.best is None
    assert all(row.fp32_times is row.best_times is None for row in found.rows)
    assert standings(record, "no/group") is None


def test_samples_of_different_rounds_are_compared_by_their_medians() -> None:
    one = Measurement("group", "one", (1.0, 1.0, 1.0), items=2)
    other = Measurement("group", "other", (2.0, 2.0), items=1)
    assert times_as_fast(one, other).value == pytest.approx(4)


def test_absent_systems_and_parts_are_told_apart(record: Record) -> None:
    absent = replace(record, absent={**record.absent, "openvino-f32/fp32": "why"})
    assert list(absent_systems(absent)) == ["PyTorch, compiled", "OpenVINO, float32/fp32"]
    assert list(absent_parts(absent)) == ["energy"]
