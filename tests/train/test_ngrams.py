from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.evaluation.metrics.bleu import BleuCounts
from cxrscribe_train.ngrams import ngrams, sentence_bleu

reports = st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(tuple)


def score(report: tuple[str, ...], reference: tuple[str, ...], smoothing: float = 0.3) -> float:
    return sentence_bleu(report, ngrams(reference), len(reference), smoothing)


@given(reports, reports.filter(lambda words: len(words) >= 4))
def test_without_smoothing_it_is_bleu_of_a_corpus_of_one(
    report: tuple[str, ...], reference: tuple[str, ...]
) -> None:
    report = (*report, *reference[:4])
    counts = BleuCounts.of([report], [reference])
    unsmoothed = counts.statistic(4)(np.ones((1, 1)))[0]
    assert score(report, reference, 1e-12) == pytest.approx(unsmoothed, rel=1e-6)


@given(reports, reports)
def test_a_score_is_a_share_and_1_for_the_reference_alone(
    report: tuple[str, ...], reference: tuple[str, ...]
) -> None:
    assert 0.0 < score(report, reference) <= 1.0 + 1e-12
    assert score(reference, reference) == pytest.approx(1.0)


def test_the_formula_by_hand() -> None:
    precisions = (2.3 / 3.3, 1.3 / 2.3, 0.3 / 1.3, 0.3 / 0.3)
    expected = math.prod(precisions) ** 0.25 * math.exp(1 - 4 / 3)
    assert score(("a", "b", "x"), ("a", "b", "c", "d")) == pytest.approx(expected)


def test_an_empty_report_scores_nothing() -> None:
    assert score((), ("a",)) == 0.0
