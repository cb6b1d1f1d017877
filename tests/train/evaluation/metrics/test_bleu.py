from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu

from cxrscribe_train.evaluation.metrics.bleu import BleuCounts, Words

words = st.lists(st.sampled_from("abcde"), max_size=12).map(tuple)
films = st.lists(st.tuples(words, words.filter(bool)), min_size=1, max_size=8)


def ours(reports: Sequence[Words], references: Sequence[Words], weights: np.ndarray) -> list[float]:
    counts = BleuCounts.of(reports, references)
    return [float(counts.statistic(order)(weights)[0]) for order in range(1, 5)]


def theirs(reports: Sequence[Words], references: Sequence[Words]) -> list[float]:
    truths = {film: [" ".join(words)] for film, words in enumerate(references)}
    drafts = {film: [" ".join(words)] for film, words in enumerate(reports)}
    score, _ = Bleu(4).compute_score(truths, drafts, verbose=0)
    return [float(value) for value in score]


@settings(deadline=None)
@given(films)
def test_equals_pycocoevalcap(pairs: list[tuple[Words, Words]]) -> None:
    reports, references = zip(*pairs, strict=True)
    assert ours(reports, references, np.ones((1, len(pairs)))) == pytest.approx(
        theirs(reports, references), rel=1e-9, abs=1e-12
    )


@settings(deadline=None)
@given(films, st.data())
def test_a_resample_equals_scoring_the_drawn_films(
    pairs: list[tuple[Words, Words]], data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=8))
    weights = np.bincount(drawn, minlength=len(pairs))[None].astype(float)
    reports, references = zip(*pairs, strict=True)
    expected = theirs([reports[film] for film in drawn], [references[film] for film in drawn])
    assert ours(reports, references, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_perfect_reports_score_one() -> None:
    report = ("the", "heart", "is", "normal", "in", "size", ".")
    assert ours([report], [report], np.ones((1, 1))) == pytest.approx([1.0] * 4)
