from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.lcs import References
from cxrscribe_train.evaluation.metrics.similarity import rouge_l

short = st.lists(st.sampled_from("abcd"), min_size=1, max_size=20).map(tuple)
long = st.lists(st.sampled_from("ab"), min_size=60, max_size=200).map(tuple)


@settings(deadline=None)
@given(short | long, st.lists(short | long, min_size=1, max_size=5))
def test_rouge_l_equals_pycocoevalcap(report: Words, references: list[Words]) -> None:
    expected = rouge_l([report] * len(references), references)
    assert References(references).rouge_l(report) == pytest.approx(expected)


@settings(deadline=None)
@given(short | long, st.lists(short | long, min_size=1, max_size=4))
def test_length_equals_that_of_the_textbook(report: Words, references: list[Words]) -> None:
    assert References(references).common(report).tolist() == [textbook(report, words) for words in references]


def test_report_without_words_has_nothing_in_common() -> None:
    assert References([("a", "b"), ("c",)]).rouge_l(()).tolist() == [0, 0]


def textbook(one: Words, other: Words) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        diagonal = 0
        for place, candidate in enumerate(other, start=1):
            diagonal, row[place] = (
                row[place],
                (diagonal + 1 if word == candidate else max(row[place], row[place - 1])),
            )
    return row[-1]
