"""When two searches count as identical, as a near tie, or as a failure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.bundle.evidence import NearTie, SearchParity
from cxrscribe.report import Report
from cxrscribe.search.decoding import decode
from cxrscribe.search.step import State
from cxrscribe.settings import BeamSettings
from cxrscribe_export.parity.reference import ReferenceSearch
from cxrscribe_export.parity.search_parity import (
    Disagreement,
    FilmSearch,
    SearchComparison,
    compare_searches,
    explain,
)
from support.toy_model import ToyStep, toy_vocabulary

WORDS = 9
SETTINGS = BeamSettings(beam_width=2, max_length=6, n_best=2)


class TwoWords:
    """Says word0 or word1, then ends; the first is likelier by the film's one feature."""

    def initial_state(self, features: NDArray[np.float32]) -> State:
        return State(features[np.newaxis], features[np.newaxis])

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        log_probs = np.full((len(tokens), 6), -9, dtype=np.float32)
        for row, token, margin in zip(log_probs, tokens, state.hidden[0, :, 0], strict=True):
            if token == 1:
                row[4], row[5] = -1.0, -1.0 - margin
            else:
                row[2] = -0.5
        return log_probs, state


def two_words(*margins: float) -> FilmSearch:
    """The search on one side, for films whose first word has these margins."""
    search = ReferenceSearch(TwoWords(), toy_vocabulary(6), BeamSettings(beam_width=1, max_length=4))
    return FilmSearch(search, np.array(margins, dtype=np.float32)[:, np.newaxis])


def judged(reference_margin: float, exported_margin: float) -> tuple[Report, NearTie | Disagreement]:
    """The verdict on the second of two films, of which the encoders gave different features."""
    reference, exported = two_words(9.0, reference_margin), two_words(-9.0, exported_margin)
    search = exported.search
    report = decode(search.model, toy_vocabulary(6), exported.features, search.settings)[1]
    return report, explain(1, "test[1]", report, reference, exported)


def test_a_hair_in_the_reference_is_a_near_tie() -> None:
    report, verdict = judged(4e-6, -4e-6)
    assert report.tokens == (5,)
    assert isinstance(verdict, NearTie)
    assert (verdict.image, verdict.step) == ("test[1]", 0)
    assert verdict.margin == pytest.approx(4e-6, rel=0.1)


def test_more_than_a_hair_is_a_disagreement() -> None:
    _, verdict = judged(1e-3, -1e-3)
    assert isinstance(verdict, Disagreement)
    assert "margin of 0.001" in str(verdict)


def test_a_report_that_plain_loops_do_not_find_is_a_disagreement() -> None:
    search = two_words(1e-6)
    invented = Report("Word1.", (5, 5), -1.0, -1.0, (-0.5, -0.5), True)
    verdict = explain(0, "test[3]", invented, search, search)
    assert isinstance(verdict, Disagreement)
    assert "plain loops" in verdict.reason


@dataclass(frozen=True)
class Searched:
    """Twelve films that the runtime has searched for."""

    names: tuple[str, ...]
    features: NDArray[np.float32]
    reports: list[Report]

    def on(self, seed: int, shift: float = 0.0) -> FilmSearch:
        """A side whose network has this seed and whose encoder's features are shifted."""
        search = ReferenceSearch(ToyStep(seed, WORDS), toy_vocabulary(WORDS), SETTINGS)
        return FilmSearch(search, self.features + np.float32(shift))


@pytest.fixture(scope="module")
def searched() -> Searched:
    features = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    reports = decode(ToyStep(1, WORDS), toy_vocabulary(WORDS), features, SETTINGS)
    return Searched(tuple(f"test[{place}]" for place in range(12)), features, reports)


def test_the_same_model_is_identical_film_by_film(searched: Searched) -> None:
    done: list[int] = []
    comparison = compare_searches(
        searched.reports, searched.names, searched.on(1), searched.on(1), done.append
    )
    assert comparison.failures(1e-4) == []
    assert comparison.parity.searches == comparison.parity.identical == sum(done) == 12
    assert comparison.parity.distinct_reports == len({report.tokens for report in searched.reports}) > 1


def test_another_decoder_fails_and_every_film_is_named(searched: Searched) -> None:
    comparison = compare_searches(searched.reports, searched.names, searched.on(2), searched.on(1))
    failures = comparison.failures(1e-4)
    assert comparison.parity.identical + len(comparison.disagreements) == 12
    assert len(comparison.disagreements) > 6
    assert all(
        any(name in failure for failure in failures) for name in {d.film for d in comparison.disagreements}
    )


def test_other_features_count_though_the_decoder_is_the_same(searched: Searched) -> None:
    far = compare_searches(searched.reports, searched.names, searched.on(1, shift=1.0), searched.on(1))
    assert any("is decided otherwise" in failure for failure in far.failures(1e-4))
    near = compare_searches(searched.reports, searched.names, searched.on(1, shift=1e-3), searched.on(1))
    assert near.parity.largest_log_prob_difference > 1e-4
    assert any("raise --tolerance" in failure for failure in near.failures(1e-4))


@pytest.mark.parametrize(("near_ties", "fails"), [(0, False), (1, False), (2, True)])
def test_more_near_ties_than_half_a_percent_fail(near_ties: int, fails: bool) -> None:
    ties = tuple(NearTie(f"test[{place}]", 3, 1e-6) for place in range(near_ties))
    comparison = SearchComparison(SearchParity(200, 160, 200 - near_ties, ties, 1e-6), ())
    assert bool(comparison.failures(1e-4)) is fails


@pytest.mark.parametrize("difference", [2e-4, float("nan"), float("inf")])
def test_a_log_prob_out_of_tolerance_fails(difference: float) -> None:
    comparison = SearchComparison(SearchParity(200, 160, 200, (), difference), ())
    assert "log_prob" in comparison.failures(1e-4)[0]
