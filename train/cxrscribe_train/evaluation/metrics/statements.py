"""Precision, recall and F1 of statements: whatever a report can say is there and a film can bear out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bootstrap import Figure, Resamples, Weights
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet

StatementMatrix = NDArray[np.bool_]
"""[N, S]: whether the s-th statement is true of film n, or its report makes it."""


@dataclass(frozen=True)
class Counts:
    """True positives, made and true statements, float64 [..., S]; sums over films."""

    hits: NDArray[np.float64]
    stated: NDArray[np.float64]
    true: NDArray[np.float64]

    @classmethod
    def of(cls, stated: StatementMatrix, true: StatementMatrix, weights: Weights) -> Counts:
        """Sums over the films of each resample, [B, S]."""
        return cls(weights @ (stated & true), weights @ stated.astype(float), weights @ true.astype(float))

    @classmethod
    def of_constants(cls, candidates: StatementMatrix, true: StatementMatrix) -> Counts:
        """Sums for each row of `candidates`, stated for every film of `true`: [C, S]."""
        in_truth = true.sum(axis=0).astype(np.float64)
        return cls(
            hits=candidates * in_truth,
            stated=candidates * np.float64(len(true)),
            true=np.broadcast_to(in_truth, candidates.shape),
        )

    def micro(self) -> dict[str, NDArray[np.float64]]:
        """`precision_micro`, `recall_micro` and `f1_micro` over all statements, each [...].

        Precision where nothing is stated is 0; the others are nan where they aren't defined.
        """
        hits, stated, true = self.hits.sum(-1), self.stated.sum(-1), self.true.sum(-1)
        return {
            "precision_micro": _ratio(hits, stated, where_none=0.0),
            "recall_micro": _ratio(hits, true),
            "f1_micro": _ratio(2 * hits, stated + true),
        }

    def f1_of_each(self) -> NDArray[np.float64]:
        """F1 of every statement, [..., S]; nan where it is neither true nor made."""
        return _ratio(2 * self.hits, self.stated + self.true)

    def f1_macro(self) -> NDArray[np.float64]:
        """Mean F1 of the statements that are true of a film, [...]; 0 where there are none."""
        of_true = np.where(self.true > 0, self.f1_of_each(), np.nan)
        counted = np.maximum(1, np.isfinite(of_true).sum(axis=-1))
        return np.asarray(np.nansum(of_true, axis=-1) / counted)


@dataclass(frozen=True)
class Statements:
    """The statements that are counted together, and the figures made of them.

    prefix: what the names of the figures start with.
    columns: the statements by name, in the order of a matrix's columns.
    read: all such statements of a film or report. Those that have no column are not counted.
    """

    prefix: str
    columns: Mapping[str, Hashable]
    read: Callable[[FindingSet], Set[Hashable]]

    def matrix(self, films: Iterable[FindingSet]) -> StatementMatrix:
        """One row a film, one column a statement."""
        rows = [[statement in made for statement in self.columns.values()] for made in map(self.read, films)]
        return np.array(rows, dtype=np.bool_).reshape(len(rows), len(self.columns))

    def names(self, findings: FindingSet) -> list[str]:
        """The statements of one film or report by name, in the order of the columns."""
        made = self.read(findings)
        return [name for name, statement in self.columns.items() if statement in made]

    def figure_names(self, true: StatementMatrix) -> tuple[str, ...]:
        """The figures that are defined for this truth: none where nothing is true of any film."""
        if not true.any():
            return ()
        return tuple(f"{self.prefix}_{name}" for name in ("precision_micro", "recall_micro", "f1_micro"))

    def values(self, counts: Counts) -> dict[str, NDArray[np.float64]]:
        """All figures by name, defined or not, each [...]."""
        return {f"{self.prefix}_{name}": value for name, value in counts.micro().items()}

    def figures(
        self, stated: StatementMatrix, true: StatementMatrix, resamples: Resamples
    ) -> dict[str, Figure]:
        """Every defined figure with its interval. `stated`, `true`: [N, S]."""
        value = self.values(Counts.of(stated, true, resamples.as_they_are))
        resampled = self.values(Counts.of(stated, true, resamples.weights))
        return {name: Figure.of(float(value[name][0]), resampled[name]) for name in self.figure_names(true)}

    def best_constant(self, candidates: StatementMatrix, true: StatementMatrix) -> dict[str, int]:
        """For each defined figure, which row of `candidates` is best when stated for every film of `true`.

        Ties go to the earlier candidate.
        """
        values = self.values(Counts.of_constants(candidates, true))
        return {name: int(np.argmax(values[name])) for name in self.figure_names(true)}


def _ratio(
    part: NDArray[np.float64], whole: NDArray[np.float64], where_none: float = float("nan")
) -> NDArray[np.float64]:
    missing = np.full(np.shape(whole), where_none)
    return np.divide(part, whole, out=missing, where=whole > 0)
