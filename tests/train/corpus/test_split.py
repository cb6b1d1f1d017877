from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.split import HashSplit, read_split


def test_default_shares_are_72_8_and_20_percent() -> None:
    split = HashSplit()
    counts = Counter(split(f"CXR{number}") for number in range(10_000))
    assert counts["train"] == pytest.approx(7200, abs=150)
    assert counts["val"] == pytest.approx(800, abs=100)
    assert counts["test"] == pytest.approx(2000, abs=150)


def test_the_rule_never_changes() -> None:
    golden = ["train", "train", "test", "train", "train", "train", "train", "train", "test", "train"]
    # A change here would move studies of published splits from test to train.
    assert [HashSplit(seed=7)(f"CXR{number}") for number in range(1, 11)] == golden


@given(st.integers(), st.text(), st.floats(0, 1), st.floats(0, 1))
def test_edges_of_shares(seed: int, study_id: str, train: float, validation: float) -> None:
    assert HashSplit(seed, 0, validation)(study_id) == "test"
    assert HashSplit(seed, 1, 0)(study_id) == "train"
    assert HashSplit(seed, 1, 1)(study_id) == "val"
    # What tests at a larger share for training tests at a smaller one too.
    if HashSplit(seed, train, validation)(study_id) == "test":
        assert HashSplit(seed, train / 2, validation)(study_id) == "test"


@pytest.mark.parametrize(("train", "validation"), [(-0.1, 0.1), (1.1, 0.1), (0.8, 2), (float("nan"), 0.1)])
def test_shares_outside_0_to_1_are_refused(train: float, validation: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        HashSplit(train=train, validation=validation)


def _write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_listed_ids_count_up_to_the_first_underscore(tmp_path: Path) -> None:
    content = {"train": ["CXR1_IM-0001", "CXR2"], "val": [{"id": "CXR3_IM-1", "report": "x"}], "test": []}
    split = read_split(_write(tmp_path / "split.json", content))
    assert [split(f"CXR{number}") for number in (1, 2, 3, 4)] == ["train", "train", "val", ""]
    assert split.repeated == ()


def test_two_images_of_a_study_are_no_repetition_but_the_same_id_is(tmp_path: Path) -> None:
    split = read_split(_write(tmp_path / "split.json", {"train": ["CXR1_1", "CXR1_2", "CXR1_1"]}))
    assert split("CXR1") == "train"
    assert split.repeated == ("CXR1_1",)


def test_a_study_in_two_splits_is_a_leak_and_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "split.json", {"train": ["CXR1_IM-1-1001"], "test": ["CXR1_IM-1-2001"]})
    with pytest.raises(InputError, match="'CXR1' is in train and in test"):
        read_split(path)


@pytest.mark.parametrize(
    "content",
    [[], {}, {"dev": []}, {"train": "CXR1"}, {"train": [1]}, {"train": [{"name": "x"}]}, {"test": [""]}],
)
def test_a_file_of_another_shape_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"split\.json"):
        read_split(_write(tmp_path / "split.json", content))


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="JSON"):
        read_split(tmp_path / "split.json")
