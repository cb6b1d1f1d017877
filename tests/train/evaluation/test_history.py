from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxrscribe_train.evaluation.history import HISTORY_FILE, record_evaluation


def test_evaluations_are_counted_by_corpus_and_split(tmp_path: Path) -> None:
    asked = [("iu", "a", "test"), ("iu", "a", "val"), ("iu", "a", "test"), ("other", "b", "test")]
    asked += [("moved", "a", "test"), ("iu", "c", "test")]  # the same table elsewhere; another of that name
    times = [record_evaluation(tmp_path, *each, {"films": 3}) for each in asked]
    assert times == [1, 1, 2, 1, 3, 1]
    lines = (tmp_path / HISTORY_FILE).read_text().splitlines()
    assert [json.loads(line)["split"] for line in lines] == [split for *_, split in asked]


def test_a_damaged_line_counts_for_nothing_and_costs_no_other(tmp_path: Path) -> None:
    record_evaluation(tmp_path, "iu", "a", "test", {})
    with (tmp_path / HISTORY_FILE).open("a") as file:
        file.write('[]\n{"corpus": "iu", "spl')
    assert record_evaluation(tmp_path, "iu", "a", "test", {}) == 2
    assert record_evaluation(tmp_path, "iu", "a", "test", {}) == 3


def test_lines_of_earlier_versions_count_by_the_name(tmp_path: Path) -> None:
    lines = [{"corpus": "iu", "split": "test"}, {"corpus": "other", "split": "test"}]
    (tmp_path / HISTORY_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert record_evaluation(tmp_path, "iu", "a", "test", {}) == 2


def test_a_folder_that_is_gone_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        record_evaluation(tmp_path / "gone", "iu", "a", "test", {})
