"""Fitting tags: which findings a report will state, and where, told from the film's features.

Logistic regression, taught by what the labeller reads in the training reports. Its logits are linear in the
features, so that a network's own linear map can take them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe_train.context.folds import folds_of
from cxrscribe_train.labeller import label_places, label_words

LEAST_FILMS: Final = 8
"""Films that have to show what is tagged."""
RIDGE: Final = 10.0
_STEPS: Final = 200
_LEAST_DEVIATION: Final = 0.1

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class FittedTags:
    """T logits, linear in the features, and those of the films that they were fitted on."""

    weight: NDArray[np.float32]
    """[F, T]"""
    bias: NDArray[np.float32]
    """[T]"""
    out_of_fold: NDArray[np.float32]
    """[N, T]: of each film, told by what was fitted on the other folds."""


def fit_tags(
    features: NDArray[np.float32], reports: Sequence[Sequence[str]], studies: Sequence[str], seed: int
) -> FittedTags:
    """Fit on a training split.

    Args:
        features: float32 [N, F].
        reports: cleaned words of each film's report.
        studies: of each film; all films of one are in one fold.
        seed: of the folds.

    Raises:
        InputError: no finding is stated of enough films.
    """
    stated = [label_words(words) | label_places(words) for words in reports]
    found = list(dict.fromkeys(tag for each in stated for tag in sorted(each, key=str)))
    truth = np.array([[tag in each for tag in found] for each in stated], np.float64).reshape(len(stated), -1)
    enough = (truth.sum(axis=0) >= LEAST_FILMS) & (truth.sum(axis=0) <= len(truth) - LEAST_FILMS)
    truth = truth[:, enough]  # [N, T]
    if not truth.shape[1]:
        raise InputError(
            f"no finding is stated in {LEAST_FILMS} of the {len(reports)} training reports, so that there is "
            "nothing to tag films with; train with --context patient"
        )
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    least = max(_LEAST_DEVIATION * float(deviation.mean()), float(np.finfo(np.float32).tiny))
    scale = np.maximum(deviation, least)
    rows = np.hstack(((features - mean) / scale, np.ones((len(features), 1))))  # [N, F + 1]

    whole = _logistic(rows, truth)  # [F + 1, T]
    logits = np.zeros(truth.shape)
    for fold in folds_of(studies, seed):
        others = np.setdiff1d(np.arange(len(rows)), fold)
        logits[fold] = rows[fold] @ _logistic(rows[others], truth[others])
    weight = whole[:-1] / scale[:, np.newaxis]
    bias = whole[-1] - mean @ weight
    return FittedTags(weight.astype(np.float32), bias.astype(np.float32), logits.astype(np.float32))


def _logistic(rows: Matrix, truth: Matrix) -> Matrix:
    """Weights [F + 1, T] of ridge logistic regressions, all at once; the last row, the bias, is held hardly.

    Each step is the best one under a bound of the curvature, the same for all steps and columns: one
    decomposition serves them all, and no step makes anything worse. Bohning and Lindsay, Monotonicity of
    quadratic-approximation algorithms, Annals of the Institute of Statistical Mathematics 40, 1988.
    """
    held = np.full(rows.shape[1], RIDGE)
    held[-1] = 1e-3  # a fold may lack a finding: its bias must not run away
    inverse = np.linalg.inv(rows.T @ rows / 4 + np.diag(held))
    weights = np.zeros((rows.shape[1], truth.shape[1]))
    for _ in range(_STEPS):
        told = 1 / (1 + np.exp(-np.clip(rows @ weights, -50, 50)))
        weights += inverse @ (rows.T @ (truth - told) - held[:, np.newaxis] * weights)
    return weights
