from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe_train.evaluation.bootstrap import Resamples
from cxrscribe_train.evaluation.labels import (
    KINDS,
    best_constant_labels,
    figure_names,
    label_figures,
    label_matrix,
    sorted_labels,
    support,
)
from cxrscribe_train.phantom.catalogue import FindingKind as K

labels = st.frozensets(st.sampled_from(KINDS[:4]), max_size=3)


def figures_of(stated: list[frozenset[K]], true: list[frozenset[K]]) -> dict[str, float]:
    resamples = Resamples.draw([str(film) for film in range(len(true))], 20, 0)
    figures = label_figures(label_matrix(stated), label_matrix(true), resamples)
    assert all(figure.low <= figure.value <= figure.high for figure in figures.values())
    return {name: figure.value for name, figure in figures.items()}


def test_figures_of_a_case_counted_by_hand() -> None:
    true = [frozenset({K.NODULE, K.MASS}), frozenset({K.NODULE}), frozenset[K](), frozenset({K.SCOLIOSIS})]
    stated = [frozenset({K.NODULE}), frozenset({K.MASS}), frozenset({K.EMPHYSEMA}), frozenset({K.SCOLIOSIS})]
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
    figures = figures_of([frozenset()] * 2, [frozenset({K.MASS}), frozenset()])
    assert figures["label_precision_micro"] == figures["label_recall_micro"] == figures["label_f1_micro"] == 0


def test_normal_films_alone_have_no_label_figures() -> None:
    assert figures_of([frozenset({K.MASS})], [frozenset()]) == {}


@settings(deadline=None)
@given(st.lists(labels, min_size=1, max_size=6), st.lists(labels, min_size=1, max_size=8))
def test_best_constant_labels_are_those_of_brute_force(
    candidates: list[frozenset[K]], true: list[frozenset[K]]
) -> None:
    each = [figures_of([candidate] * len(true), true) for candidate in candidates]
    best = best_constant_labels(label_matrix(candidates), label_matrix(true))
    assert set(best) == set(figure_names(label_matrix(true)))
    for name, place in best.items():
        assert each[place][name] == pytest.approx(max(figures[name] for figures in each))


def test_support_counts_films_of_every_kind() -> None:
    counted = support(label_matrix([frozenset({K.MASS}), frozenset({K.MASS, K.NODULE})]))
    assert counted["mass"] == 2
    assert counted["nodule"] == 1
    assert sum(counted.values()) == 3
    assert len(counted) == len(KINDS)


def test_labels_are_listed_in_the_order_of_the_catalogue() -> None:
    assert sorted_labels({K.CENTRAL_LINE, K.CARDIOMEGALY}) == ["cardiomegaly", "central_line"]
    assert np.array_equal(label_matrix([]), np.zeros((0, len(KINDS)), dtype=bool))
