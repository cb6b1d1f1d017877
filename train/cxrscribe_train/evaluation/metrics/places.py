"""The places of findings that a report states: which of them are counted.

A place is counted where the catalogue leaves a choice. Emphysema is always of both lungs: a report may say so
and need not. A pneumothorax has no zone: one that is called apical is like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, Placement
from cxrscribe_train.evaluation.metrics.statements import Statements
from cxrscribe_train.findings import VARIATIONS
from cxrscribe_train.labeller import PLACES


def _counted() -> Iterator[Placement]:
    """Each kind with the sides that it may choose among, and the zones."""
    for kind, allowed in VARIATIONS.items():
        for choices in (allowed.sides, allowed.zones):
            if len(choices) > 1:
                yield from ((kind, place) for place in PLACES if place in choices)


def _placements(findings: FindingSet) -> frozenset[Placement]:
    if findings.places is None:
        raise ValueError("places that aren't known can't be counted; leave their figures out")
    return findings.places


COUNTED: Final = tuple(_counted())
PLACEMENTS: Final = Statements("place", {" ".join(placed): placed for placed in COUNTED}, _placements)
