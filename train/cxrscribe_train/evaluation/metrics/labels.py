"""The kinds of finding that a report states: which are counted, and the figures of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.statements import Counts, StatementMatrix, Statements
from cxrscribe_train.findings import FindingKind


@dataclass(frozen=True)
class Labels(Statements):
    """Kinds of finding. Besides the figures of all together, the F1 of each kind and the mean of these."""

    def figure_names(self, true: StatementMatrix) -> tuple[str, ...]:
        """The figures that are defined for this truth: a kind that no film shows has none of its own."""
        together = super().figure_names(true)
        if not together:
            return ()
        shown = [kind for kind, films in self.support(true).items() if films]
        return (*together, f"{self.prefix}_f1_macro", *(f"{self.prefix}_f1_{kind}" for kind in shown))

    def values(self, counts: Counts) -> dict[str, NDArray[np.float64]]:
        """All figures by name, defined or not, each [...]. Macro is the mean over the kinds of the truth."""
        each = np.moveaxis(counts.f1_of_each(), -1, 0)
        return {
            **super().values(counts),
            f"{self.prefix}_f1_macro": counts.f1_macro(),
            **{f"{self.prefix}_f1_{kind}": f1 for kind, f1 in zip(self.columns, each, strict=True)},
        }

    def support(self, true: StatementMatrix) -> dict[str, int]:
        """Films with each kind, zeros included."""
        return {kind: int(count) for kind, count in zip(self.columns, true.sum(axis=0), strict=True)}


def _kinds(findings: FindingSet) -> frozenset[FindingKind]:
    return findings.kinds


LABELS: Final = Labels("label", {str(kind): kind for kind in FindingKind}, _kinds)
