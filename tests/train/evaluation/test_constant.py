from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.cider.cider import Cider

from cxrscribe_train.evaluation.constant import TrainingSample, by_frequency
from cxrscribe_train.evaluation.metrics.bleu import BleuCounts, Words
from cxrscribe_train.evaluation.metrics.similarity import cider, rouge_l

words = st.lists(st.sampled_from("abcde"), min_size=1, max_size=10).map(tuple)
many = st.lists(words, min_size=2, max_size=8)


@settings(max_examples=50, deadline=None)
@given(many)
def test_scores_of_candidates_are_those_of_brute_force(reports: list[Words]) -> None:
    sample = TrainingSample.draw(reports, seed=0)
    ones = np.ones((1, len(reports)))
    for row, candidate in enumerate(sample.candidates):
        given_to_all = [candidate] * len(reports)
        counts = BleuCounts.of(given_to_all, reports)
        expected = [counts.statistic(order)(ones)[0] for order in range(1, 5)]
        assert sample.bleu_scores()[row] == pytest.approx(expected)
        assert sample.rouge_l_scores()[row] == pytest.approx(rouge_l(given_to_all, reports).mean())
        assert sample.cider_scores()[row] == pytest.approx(cider(given_to_all, reports).mean(), abs=1e-9)


def test_best_report_beats_every_other_on_its_metric(training: tuple[Words, ...]) -> None:
    best = TrainingSample.draw(training, seed=0).best(None)
    assert set(best) == {"bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider"}
    for candidate in set(training):
        for metric, score in (("rouge_l", rouge_l), ("cider", cider)):
            mine, other = ([report] * len(training) for report in (best[metric], candidate))
            assert score(mine, training).mean() >= score(other, training).mean() - 1e-12


def test_cider_of_one_film_is_zero_like_pycocoevalcaps() -> None:
    score, _ = Cider().compute_score({0: ["a b c d"]}, {0: ["a b c d"]})
    assert cider([tuple("abcd")], [tuple("abcd")]).mean() == score == 0
    assert TrainingSample.draw([tuple("abcd")], 0).cider_scores() == pytest.approx([0])


def test_candidates_are_bounded_and_seeded() -> None:
    reports = [(str(number % 70),) for number in range(200)]
    sample, again, other = (
        TrainingSample.draw(reports, seed, most_frequent=10, sampled=5, compared=50) for seed in (1, 1, 2)
    )
    assert len(sample.candidates) == len(set(sample.candidates)) == 15
    assert sample.candidates[:10] == tuple(by_frequency(reports)[:10])
    assert len(sample.compared) == 50
    assert sample == again != other


def test_frequent_reports_come_first_and_ties_by_words() -> None:
    assert by_frequency([("b",), ("a",), ("c",), ("c",)]) == [("c",), ("a",), ("b",)]
