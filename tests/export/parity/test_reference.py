"""The reference search against the runtime's vectorized one, and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.search.decoding import decode
from cxrscribe.settings import BeamSettings
from cxrscribe_export.parity.reference import ReferenceSearch, best_candidates, repeating_words
from support.toy_model import ToyStep, toy_vocabulary


@st.composite
def beam_settings(draw: st.DrawFn) -> BeamSettings:
    width = draw(st.integers(1, 5))
    longest = draw(st.integers(1, 9))
    return BeamSettings(
        beam_width=width,
        max_length=longest,
        min_length=draw(st.integers(0, min(4, longest))),
        length_penalty=draw(st.sampled_from([-0.5, 0.0, 0.6, 1.0, 2.0])),
        n_best=draw(st.integers(1, width)),
        no_repeat_ngram=draw(st.integers(0, 3)),
        banned_words=draw(st.sampled_from([(), ("word0",), ("word0", "word1")])),
    )


@hypothesis_settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 10**6),
    words=st.integers(7, 12),
    grain=st.sampled_from([0.0, 0.5, 2.0]),
    settings=beam_settings(),
    one_row_at_a_time=st.booleans(),
)
def test_plain_loops_and_vectorized_search_find_the_same(
    seed: int, words: int, grain: float, settings: BeamSettings, one_row_at_a_time: bool
) -> None:
    model, vocabulary = ToyStep(seed, words, grain=grain), toy_vocabulary(words)
    features = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)
    search = ReferenceSearch(model, vocabulary, settings, one_row_at_a_time=one_row_at_a_time)
    try:
        expected = [search.search(row) for row in features]
    except DecodingError:
        with pytest.raises(DecodingError):
            decode(model, vocabulary, features, settings)
        return
    reports = decode(model, vocabulary, features, settings)
    for hypotheses, report in zip(expected, reports, strict=True):
        results: list[Report] = [report, *report.alternatives]
        assert [result.tokens for result in results] == [hypothesis.tokens for hypothesis in hypotheses]
        for result, hypothesis in zip(results, hypotheses, strict=True):
            assert result.finished == hypothesis.finished
            assert result.log_prob == pytest.approx(float(hypothesis.log_prob), abs=1e-6)
            assert result.score == pytest.approx(hypothesis.score(settings.length_penalty), abs=1e-6)
            assert result.token_log_probs == pytest.approx(hypothesis.token_log_probs, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_that_keeps_everything_finds_the_likeliest_report(seed: int) -> None:
    """With room for every hypothesis, beam search is exhaustive search."""
    words, longest = 6, 4
    model, vocabulary = ToyStep(seed, words), toy_vocabulary(words)
    features = np.random.default_rng(seed).normal(size=4).astype(np.float32)
    best = ReferenceSearch(model, vocabulary, BeamSettings(beam_width=64, max_length=longest)).search(
        features
    )[0]

    reports: dict[tuple[int, ...], float] = {}
    todo = [((), 0.0, model.initial_state(features[np.newaxis]), 1)]
    while todo:
        tokens, log_prob, state, last = todo.pop()
        row, next_state = model.step(np.array([last]), state)
        reports[tokens] = log_prob + float(row[0, 2])
        if len(tokens) < longest - 1:
            todo += [((*tokens, word), log_prob + float(row[0, word]), next_state, word) for word in (4, 5)]
    likeliest = max(reports, key=lambda tokens: reports[tokens])
    assert best.tokens == likeliest
    assert float(best.log_prob) == pytest.approx(reports[likeliest], abs=1e-5)


def test_equal_candidates_come_in_the_order_of_rank_and_word() -> None:
    totals = [np.array(row, dtype=np.float32) for row in ([-1, -2, -np.inf], [-2, -1, -2])]
    assert best_candidates(totals, 4) == [(0, 0), (1, 1), (0, 1), (1, 0)]
    assert len(best_candidates(totals, 10)) == 5


@pytest.mark.parametrize(
    ("tokens", "n", "expected"),
    [
        ((5, 6, 5), 0, set()),
        ((5, 6, 5), 1, {5, 6}),
        ((5, 6, 5), 2, {6}),
        ((5, 6, 7), 2, set()),
        ((5, 6, 7, 5, 6), 3, {7}),
        ((5,), 3, set()),
        ((), 1, set()),
    ],
)
def test_words_that_would_repeat_a_run(tokens: tuple[int, ...], n: int, expected: set[int]) -> None:
    assert set(repeating_words(tokens, n)) == expected


def test_a_search_without_any_report_says_what_to_relax() -> None:
    banned = ("word0", "word1")
    settings = BeamSettings(min_length=1, banned_words=banned)
    search = ReferenceSearch(ToyStep(0, 6), toy_vocabulary(6), settings)
    with pytest.raises(DecodingError, match="banned_words"):
        search.search(np.zeros(4, dtype=np.float32))
