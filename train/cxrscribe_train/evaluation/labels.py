"""Precision, recall and F1 of positive findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.bootstrap import Figure, Resamples, Weights
from cxrscribe_train.phantom.catalogue import FindingKind

KINDS: Final[tuple[FindingKind, ...]] = tuple(FindingKind)

LabelMatrix = NDArray[np.bool_]
"""[N, K]: whether film n shows, or its report states, the k-th of `KINDS`."""


def label_matrix(labels: Iterable[frozenset[FindingKind]]) -> LabelMatrix:
    """One row a film, one column a kind, in the order of `KINDS`."""
    rows = [[kind in present for kind in KINDS] for present in labels]
    return np.array(rows, dtype=np.bool_).reshape(len(rows), len(KINDS))


@dataclass(frozen=True)
class LabelCounts:
    """True positives, stated and true findings, float64 [..., K]; sums over films."""

    hits: NDArray[np.float64]
    stated: NDArray[np.float64]
    true: NDArray[np.float64]

    @classmethod
    def of(cls, stated: LabelMatrix, true: LabelMatrix, weights: Weights) -> LabelCounts:
        """Sums over the films of each resample, [B, K]."""
        return cls(weights @ (stated & true), weights @ stated.astype(float), weights @ true.astype(float))

    def figures(self) -> dict[str, NDArray[np.float64]]:
        """All label figures by name, each [...]. nan where neither truth nor reports have a finding.

        Macro is the mean over the kinds that the truth has. Precision of a column that states nothing is 0.
        """
        hits, stated, true = self.hits, self.stated, self.true
        each = _ratio(2 * hits, stated + true)
        in_truth = np.where(true > 0, each, np.nan)
        counted = np.maximum(1, np.isfinite(in_truth).sum(axis=-1))
        return {
            "label_precision_micro": _ratio(hits.sum(-1), stated.sum(-1), where_none=0.0),
            "label_recall_micro": _ratio(hits.sum(-1), true.sum(-1)),
            "label_f1_micro": _ratio(2 * hits.sum(-1), (stated + true).sum(-1)),
            "label_f1_macro": np.nansum(in_truth, axis=-1) / counted,
            **{f"label_f1_{kind}": each[..., index] for index, kind in enumerate(KINDS)},
        }


def figure_names(true: LabelMatrix) -> tuple[str, ...]:
    """The figures that are defined for this truth: a kind that no film shows has none of its own."""
    if not true.any():
        return ()
    shown = [kind for index, kind in enumerate(KINDS) if true[:, index].any()]
    overall = ("label_precision_micro", "label_recall_micro", "label_f1_micro", "label_f1_macro")
    return (*overall, *(f"label_f1_{kind}" for kind in shown))


def label_figures(stated: LabelMatrix, true: LabelMatrix, resamples: Resamples) -> dict[str, Figure]:
    """Every defined label figure with its interval."""

    value = LabelCounts.of(stated, true, resamples.as_they_are).figures()
    resampled = LabelCounts.of(stated, true, resamples.weights).figures()
    return {name: Figure.of(float(value[name][0]), resampled[name]) for name in figure_names(true)}


def support(true: LabelMatrix) -> dict[str, int]:
    """Films with each kind, zeros included."""
    return {str(kind): int(count) for kind, count in zip(KINDS, true.sum(axis=0), strict=True)}


def best_constant_labels(candidates: LabelMatrix, true: LabelMatrix) -> dict[str, int]:
    """For each defined figure, which row of `candidates` is best when stated for every film of `true`.

    Ties go to the earlier candidate.
    """
    films, in_truth = len(true), true.sum(axis=0).astype(np.float64)
    counts = LabelCounts(
        hits=candidates * in_truth,
        stated=candidates * np.float64(films),
        true=np.broadcast_to(in_truth, candidates.shape).astype(np.float64),
    )
    figures = counts.figures()
    return {name: int(np.argmax(figures[name])) for name in figure_names(true)}


def _ratio(
    part: NDArray[np.float64], whole: NDArray[np.float64], where_none: float = float("nan")
) -> NDArray[np.float64]:
    missing = np.full(np.shape(whole), where_none)
    return np.divide(part, whole, out=missing, where=whole > 0)


def sorted_labels(labels: Iterable[FindingKind]) -> Sequence[str]:
    """Names in the order of the catalogue."""
    present = frozenset(labels)
    return [str(kind) for kind in KINDS if kind in present]
