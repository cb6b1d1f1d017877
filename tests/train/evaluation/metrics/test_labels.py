from __future__ import annotations

import numpy as np
import pytest

from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.findings import FindingKind as K


def films(*kinds: set[K]) -> list[FindingSet]:
    return [FindingSet(frozenset(of_film), None) for of_film in kinds]


def figures_of(stated: list[FindingSet], true: list[FindingSet]) -> dict[str, float]:
    resamples = Resamples.draw([str(film) for film in range(len(true))], 20, 0)
    figures = LABELS.figures(LABELS.matrix(stated), LABELS.matrix(true), resamples)
    return {name: figure.value for name, figure in figures.items()}


def test_figures_of_a_case_counted_by_hand() -> None:
    true = films({K.NODULE, K.MASS}, {K.NODULE}, set(), {K.SCOLIOSIS})
    stated = films({K.NODULE}, {K.MASS}, {K.EMPHYSEMA}, {K.SCOLIOSIS})
    figures = figures_of(stated, true)
    # 2 hits among 4 stated and 4 true; nodule 1 of 2, mass none, scoliosis 1 of 1.
    assert figures["label_precision_micro"] == pytest.approx(0.5)
    assert figures["label_recall_micro"] == pytest.approx(0.5)
    assert figures["label_f1_micro"] == pytest.approx(0.5)
    assert figures["label_f1_nodule"] == pytest.approx(2 / 3)
    assert figures["label_f1_mass"] == 0
    assert figures["label_f1_scoliosis"] == 1
    assert figures["label_f1_macro"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    assert "label_f1_emphysema" not in figures


def test_nothing_stated_scores_zero() -> None:
    figures = figures_of(films(set(), set()), films({K.MASS}, set()))
    assert figures["label_precision_micro"] == figures["label_recall_micro"] == figures["label_f1_micro"] == 0


def test_normal_films_alone_have_no_label_figures() -> None:
    assert figures_of(films({K.MASS}), films(set())) == {}


def test_support_counts_films_of_every_kind() -> None:
    counted = LABELS.support(LABELS.matrix(films({K.MASS}, {K.MASS, K.NODULE})))
    assert counted["mass"] == 2
    assert counted["nodule"] == 1
    assert sum(counted.values()) == 3
    assert len(counted) == len(K)


def test_labels_are_listed_in_the_order_of_the_catalogue() -> None:
    assert LABELS.names(*films({K.CENTRAL_LINE, K.CARDIOMEGALY})) == ["cardiomegaly", "central_line"]
    assert np.array_equal(LABELS.matrix([]), np.zeros((0, len(K)), dtype=bool))
