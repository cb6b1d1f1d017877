"""How well reports agree, held against counting by hand and against a plain program."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.search.consensus import agreements
from cxrscribe.search.decoding import decode
from cxrscribe.settings import BeamSettings
from support.small_models import SmallDecoder, letters

WORDS = 7


def plain_f1(one: Counter[object], other: Counter[object]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 1.0


def plain_agreements(reports: list[list[int]]) -> list[float]:
    def pairs(report: list[int]) -> Counter[object]:
        return Counter(pairwise(report))

    def both(one: list[int], other: list[int]) -> float:
        return (plain_f1(Counter(one), Counter(other)) + plain_f1(pairs(one), pairs(other))) / 2

    return [
        sum(both(one, other) for place, other in enumerate(reports) if place != own) / (len(reports) - 1)
        for own, one in enumerate(reports)
    ]


def test_agreement_counted_by_hand() -> None:
    """`a b c` and `a b d` have 2 of 3 words in common and 1 of 2 pairs; `e` has nothing of both."""
    found = agreements([[4, 5, 6], [4, 5, 7], [8]], 9)
    both = (2 / 3 + 1 / 2) / 2
    assert found.tolist() == pytest.approx([both / 2, both / 2, 0.0])


@given(st.lists(st.lists(st.integers(4, WORDS - 1), max_size=9), min_size=2, max_size=9))
def test_agreement_is_that_of_a_plain_program(reports: list[list[int]]) -> None:
    found = agreements(reports, WORDS)
    assert found.tolist() == pytest.approx(plain_agreements(reports), abs=1e-12)
    assert (found > -1e-12).all()
    assert (found < 1 + 1e-12).all()
    for one, own in enumerate(reports):
        for other, same in enumerate(reports):
            if own == same:
                assert found[one] == found[other]  # to the bit: which is chosen is no accident


def test_a_single_report_agrees_with_none() -> None:
    assert agreements([[4, 5]], WORDS).tolist() == [0.0]


CONSENSUS = BeamSettings(max_length=8, decoding="consensus", samples=12, n_best=12, seed=3)


@pytest.mark.parametrize("seed", range(8))
def test_samples_are_ranked_by_their_agreement_whatever_their_probability(seed: int) -> None:
    model = SmallDecoder.random(seed, words=9)
    features = np.random.default_rng(seed).standard_normal((3, 3)).astype(np.float32)
    sampled = BeamSettings(max_length=8, decoding="sample", samples=12, n_best=12, seed=3)
    drawn = decode(model, letters(9), features, sampled)
    for report, sample in zip(decode(model, letters(9), features, CONSENSUS), drawn, strict=True):
        results = [report, *report.alternatives]
        ones = [sample, *sample.alternatives]
        assert sorted(each.tokens for each in results) == sorted(each.tokens for each in ones)
        agreed = plain_agreements([list(each.tokens) for each in results])
        assert [each.score for each in results] == pytest.approx(agreed)
        assert [(not each.finished, -each.score) for each in results] == sorted(
            (not each.finished, -each.score) for each in results
        )
        log_probs = {each.tokens: each.log_prob for each in ones}
        assert all(each.log_prob == log_probs[each.tokens] for each in results)
