from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe.vocabulary import SPECIAL_TOKENS, UNK
from cxrscribe_train.fitting.vocabulary import build_vocabulary


def test_words_come_most_frequent_first_and_ties_alphabetically() -> None:
    reports = [
        ["lungs", "clear", "."],
        ["heart", "normal", "."],
        ["lungs", "normal", "clear", "heart", "once", "."],
    ]
    assert build_vocabulary(reports).words == (*SPECIAL_TOKENS, ".", "clear", "heart", "lungs", "normal")


def test_words_seen_too_seldom_become_unknown() -> None:
    vocabulary = build_vocabulary([["a", "a", "a", "b", "b", "c"]], min_count=3)
    assert vocabulary.encode(["a", "b", "c"]) == [4, UNK, UNK]


def test_deidentified_and_special_words_are_never_learned() -> None:
    vocabulary = build_vocabulary([["xxxx", "<end>", "clear"]] * 5)
    assert vocabulary.words == (*SPECIAL_TOKENS, "clear")
    assert vocabulary.encode(["xxxx"]) == [UNK]


@pytest.mark.parametrize(("reports", "min_count"), [([["a"]], 2), ([], 1), ([["a"]], 0)])
def test_a_vocabulary_without_words_is_refused(reports: list[list[str]], min_count: int) -> None:
    with pytest.raises(InputError, match="min_count"):
        build_vocabulary(reports, min_count)


@given(st.lists(st.lists(st.sampled_from("abcdef"), min_size=1), min_size=1))
def test_the_order_of_reports_does_not_matter(reports: list[list[str]]) -> None:
    backwards = [tokens[::-1] for tokens in reversed(reports)]
    assert build_vocabulary(reports, 1) == build_vocabulary(backwards, 1)
