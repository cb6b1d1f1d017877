"""Whole searches from film to report through the exported graphs, held against the same on Paddle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.evidence import MOST_NEAR_TIES, NearTie, SearchParity
from cxrscribe.report import Report
from cxrscribe_export.parity.reference import Hypothesis, ReferenceSearch
from cxrscribe_export.parity.search_record import SearchRecord, parting

NEAR_TIE_MARGIN: Final = 1e-5
"""A decision closer than this in the reference may fall the other way."""
"""Share of searches that may do so."""


@dataclass(frozen=True)
class FilmSearch:
    """The reference search on one side of a comparison, Paddle's or the exported graphs'."""

    search: ReferenceSearch
    features: NDArray[np.float32]
    """[N, F]: what that side's encoder made of each film; [N, F + P] for a model with a context."""

    def find(self, film: int, record: SearchRecord | None = None) -> list[Hypothesis]:
        """What `ReferenceSearch.search` finds for the film at this place."""
        return self.search.search(self.features[film], record)


@dataclass(frozen=True)
class Disagreement:
    """A search that gave other tokens than the reference, without a near tie to explain it."""

    film: str
    reason: str

    def __str__(self) -> str:
        return f"{self.film}: {self.reason}"


@dataclass(frozen=True)
class SearchComparison:
    """What came out of comparing all searches."""

    parity: SearchParity
    disagreements: tuple[Disagreement, ...]

    def failures(self, tolerance: float) -> list[str]:
        """What of it is out of tolerance, in words. `tolerance`: what a report's log_prob may differ by."""
        found = [f"the search for {disagreement}" for disagreement in self.disagreements]
        parity = self.parity
        if len(parity.near_ties) > MOST_NEAR_TIES * parity.searches:
            found.append(
                f"{len(parity.near_ties)} of {parity.searches} searches differ after a near tie, more than "
                f"{MOST_NEAR_TIES:.1%}"
            )
        if not parity.largest_log_prob_difference <= tolerance:
            found.append(
                f"a report's log_prob differs by {parity.largest_log_prob_difference:.3g}, tolerance "
                f"{tolerance:.3g}; raise --tolerance if the rounding of the features explains it"
            )
        return found


def compare_searches(
    reports: Sequence[Report],
    names: Sequence[str],
    reference: FilmSearch,
    exported: FilmSearch,
    advance: Callable[[int], None] = lambda searches: None,
) -> SearchComparison:
    """Compare the runtime's searches with the reference's, film by film.

    Args:
        reports: what the runtime found for each film, alternatives included.
        names: what to call each film.
        reference: on Paddle, encoder and decoder.
        exported: on the exported graphs, from the features that the runtime searched on. Where a report
            differs, it tells which decision was the first to fall the other way.
        advance: called with 1 after each search.
    """
    identical, largest = 0, 0.0
    distinct: set[tuple[int, ...]] = set()
    near_ties: list[NearTie] = []
    disagreements: list[Disagreement] = []
    for film, (report, name) in enumerate(zip(reports, names, strict=True)):
        expected = reference.find(film)
        distinct.add(expected[0].tokens)
        if is_identical(expected, report):
            identical += 1
            largest = max(largest, _log_prob_difference(expected, report))
        else:
            verdict = explain(film, name, report, reference, exported)
            if isinstance(verdict, NearTie):
                near_ties.append(verdict)
            else:
                disagreements.append(verdict)
        advance(1)
    parity = SearchParity(len(reports), len(distinct), identical, tuple(near_ties), largest)
    return SearchComparison(parity, tuple(disagreements))


def is_identical(expected: Sequence[Hypothesis], report: Report) -> bool:
    """Whether all tokens are the same, in the same order of results."""
    found = [(result.tokens, result.finished) for result in (report, *report.alternatives)]
    return found == [(hypothesis.tokens, hypothesis.finished) for hypothesis in expected]


def explain(
    film: int, name: str, report: Report, reference: FilmSearch, exported: FilmSearch
) -> NearTie | Disagreement:
    """Find the first decision in which a search differs from the reference, and judge it.

    Each side searches on its own features. The runtime keeps no record of its decisions: the reference search
    on the exported graphs has to find the same report, and then its decisions stand for the runtime's.
    """
    record, other_record = SearchRecord(), SearchRecord()
    reference.find(film, record)
    if not is_identical(exported.find(film, other_record), report):
        return Disagreement(name, "the runtime finds other words than plain loops do on the same graphs")
    first = parting(record, other_record)
    if first is None:
        return Disagreement(name, "other words, though every decision was the same")
    if not first.margin < NEAR_TIE_MARGIN:
        return Disagreement(
            name, f"step {first.step} is decided otherwise, by a margin of {first.margin:.3g}"
        )
    return NearTie(name, first.step, first.margin)


def _log_prob_difference(expected: Sequence[Hypothesis], report: Report) -> float:
    results = (report, *report.alternatives)
    return max(
        abs(float(hypothesis.log_prob) - result.log_prob)
        for hypothesis, result in zip(expected, results, strict=True)
    )
