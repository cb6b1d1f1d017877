"""The severities of findings that a report states: which of them are counted.

A severity is counted where the catalogue leaves a choice: an effusion is small, moderate or large, a nodule
has none.
"""

from __future__ import annotations

from typing import Final

from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, Graded
from cxrscribe_train.evaluation.metrics.statements import Statements
from cxrscribe_train.findings import VARIATIONS


def _graded(findings: FindingSet) -> frozenset[Graded]:
    if findings.severities is None:
        raise ValueError("severities that aren't known can't be counted; leave their figures out")
    return findings.severities


GRADED: Final = tuple(
    (kind, severity)
    for kind, allowed in VARIATIONS.items()
    if len(allowed.severities) > 1
    for severity in allowed.severities
)
SEVERITIES: Final = Statements("severity", {" ".join(graded): graded for graded in GRADED}, _graded)
