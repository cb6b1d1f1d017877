"""Whole beam searches through the exported graphs, held against the reference search on Paddle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.manifest import NearTie, SearchParity
from cxrscribe.report import Report
from cxrscribe_export.reference import Hypothesis, ReferenceSearch
from cxrscribe_export.search_record import SearchRecord, parting

NEAR_TIE_MARGIN: Final = 1e-5
"""A decision closer than this in the reference may fall the other way."""
MOST_NEAR_TIES: Final = 0.005
"""Share of searches that may do so."""


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
                f"a report's log_prob differs by {parity.largest_log_prob_difference:.3g}, "
                f"tolerance {tolerance:.3g}"
            )
        return found


def compare_searches(
    reports: Sequence[Report],
    features: NDArray[np.float32],
    names: Sequence[str],
    reference: ReferenceSearch,
    exported: ReferenceSearch,
    advance: Callable[[int], None] = lambda searches: None,
) -> SearchComparison:
    """Compare the runtime's searches with the reference's, film by film.

    Args:
        reports: what the runtime found for each film, alternatives included.
        features: float32 [N, F], what both searched on.
        names: what to call each film.
        reference: the reference search on Paddle.
        exported: the reference search on the exported graphs. Where a report differs, it tells which decision
            was the first to fall the other way.
        advance: called with 1 after each search.
    """
    identical, largest = 0, 0.0
    distinct: set[tuple[int, ...]] = set()
    near_ties: list[NearTie] = []
    disagreements: list[Disagreement] = []
    for report, row, name in zip(reports, features, names, strict=True):
        expected = reference.search(row)
        distinct.add(expected[0].tokens)
        if is_identical(expected, report):
            identical += 1
            largest = max(largest, _log_prob_difference(expected, report))
        else:
            verdict = explain(row, name, report, reference, exported)
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
    features: NDArray[np.float32],
    name: str,
    report: Report,
    reference: ReferenceSearch,
    exported: ReferenceSearch,
) -> NearTie | Disagreement:
    """Find the first decision in which a search differs from the reference, and judge it.

    The runtime keeps no record of its decisions. The reference search on the exported graphs has to find the
    same report, and then its decisions stand for the runtime's.
    """
    record, other_record = SearchRecord(), SearchRecord()
    reference.search(features, record)
    if not is_identical(exported.search(features, other_record), report):
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
