"""When two searches count as identical, as a near tie, or as a failure."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.decoder import decode
from cxrscribe.manifest import NearTie, SearchParity
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings
from cxrscribe.state import State
from cxrscribe.vocabulary import Vocabulary
from cxrscribe_export.reference import ReferenceSearch
from cxrscribe_export.search_parity import Disagreement, SearchComparison, compare_searches, explain

from .toy_model import ToyStep, toy_vocabulary

WORDS = 9
SETTINGS = BeamSettings(beam_width=2, max_length=6, n_best=2)


class TwoWords:
    """Says word0 or word1, then ends; the first is likelier by `margin`."""

    def __init__(self, margin: float) -> None:
        self.margin = margin

    def initial_state(self, features: NDArray[np.float32]) -> State:
        zero = np.zeros((1, len(features), 1), dtype=np.float32)
        return State(zero, zero)

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        log_probs = np.full((len(tokens), 6), -9, dtype=np.float32)
        for row, token in zip(log_probs, tokens, strict=True):
            if token == 1:
                row[4], row[5] = -1.0, -1.0 - self.margin
            else:
                row[2] = -0.5
        return log_probs, state


def judged(reference_margin: float, exported_margin: float) -> tuple[Report, NearTie | Disagreement]:
    vocabulary, settings = toy_vocabulary(6), BeamSettings(beam_width=1, max_length=4)
    reference, exported = TwoWords(reference_margin), TwoWords(exported_margin)
    features = np.zeros((1, 1), dtype=np.float32)
    report = decode(exported, vocabulary, features, settings)[0]
    searches = [ReferenceSearch(model, vocabulary, settings) for model in (reference, exported)]
    return report, explain(features[0], "test[0]", report, searches[0], searches[1])


def test_a_hair_in_the_reference_is_a_near_tie() -> None:
    report, verdict = judged(4e-6, -4e-6)
    assert report.tokens == (5,)
    assert isinstance(verdict, NearTie)
    assert (verdict.image, verdict.step) == ("test[0]", 0)
    assert verdict.margin == pytest.approx(4e-6, rel=0.1)


def test_more_than_a_hair_is_a_disagreement() -> None:
    _, verdict = judged(1e-3, -1e-3)
    assert isinstance(verdict, Disagreement)
    assert "margin of 0.001" in str(verdict)


def test_a_report_that_plain_loops_do_not_find_is_a_disagreement() -> None:
    vocabulary, settings = toy_vocabulary(6), BeamSettings(beam_width=1, max_length=4)
    search = ReferenceSearch(TwoWords(1e-6), vocabulary, settings)
    invented = Report("Word1.", (5, 5), -1.0, -1.0, (-0.5, -0.5), True)
    verdict = explain(np.zeros(1, dtype=np.float32), "test[3]", invented, search, search)
    assert isinstance(verdict, Disagreement)
    assert "plain loops" in verdict.reason


def searched(model: ToyStep, vocabulary: Vocabulary, count: int) -> tuple[NDArray[np.float32], list[Report]]:
    features = np.random.default_rng(0).normal(size=(count, 4)).astype(np.float32)
    return features, decode(model, vocabulary, features, SETTINGS)


def test_the_same_model_is_identical_film_by_film() -> None:
    vocabulary = toy_vocabulary(WORDS)
    features, reports = searched(ToyStep(1, WORDS), vocabulary, 12)
    search = ReferenceSearch(ToyStep(1, WORDS), vocabulary, SETTINGS)
    done: list[int] = []
    comparison = compare_searches(
        reports, features, [f"test[{i}]" for i in range(12)], search, search, done.append
    )
    assert comparison.failures(1e-4) == []
    assert comparison.parity.searches == comparison.parity.identical == sum(done) == 12
    assert comparison.parity.distinct_reports == len({report.tokens for report in reports}) > 1


def test_another_model_fails_and_every_film_is_named() -> None:
    vocabulary = toy_vocabulary(WORDS)
    features, reports = searched(ToyStep(1, WORDS), vocabulary, 12)
    reference, exported = (ReferenceSearch(ToyStep(seed, WORDS), vocabulary, SETTINGS) for seed in (2, 1))
    names = [f"test[{i}]" for i in range(12)]
    comparison = compare_searches(reports, features, names, reference, exported)
    failures = comparison.failures(1e-4)
    assert comparison.parity.identical + len(comparison.disagreements) == 12
    assert len(comparison.disagreements) > 6
    assert all(
        any(name in failure for failure in failures) for name in {d.film for d in comparison.disagreements}
    )


@pytest.mark.parametrize(("near_ties", "fails"), [(0, False), (1, False), (2, True)])
def test_more_near_ties_than_half_a_percent_fail(near_ties: int, fails: bool) -> None:
    ties = tuple(NearTie(f"test[{place}]", 3, 1e-6) for place in range(near_ties))
    comparison = SearchComparison(SearchParity(200, 160, 200 - near_ties, ties, 1e-6), ())
    assert bool(comparison.failures(1e-4)) is fails


@pytest.mark.parametrize("difference", [2e-4, float("nan"), float("inf")])
def test_a_log_prob_out_of_tolerance_fails(difference: float) -> None:
    comparison = SearchComparison(SearchParity(200, 160, 200, (), difference), ())
    assert "log_prob" in comparison.failures(1e-4)[0]
