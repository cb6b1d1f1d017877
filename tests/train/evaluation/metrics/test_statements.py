"""Kinds of finding and their places are counted by one code; each test here runs with both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.metrics.places import PLACEMENTS
from cxrscribe_train.evaluation.metrics.statements import Counts, Statements
from cxrscribe_train.findings import FindingKind as K
from cxrscribe_train.labeller import PLACES

FEW = (K.CARDIOMEGALY, K.PNEUMOTHORAX, K.NODULE, K.EMPHYSEMA)
films = st.builds(
    FindingSet,
    st.frozensets(st.sampled_from(FEW), max_size=3),
    st.frozensets(st.tuples(st.sampled_from(FEW), st.sampled_from(PLACES)), max_size=5),
)
pairs_of_films = st.lists(st.tuples(films, films), min_size=1, max_size=7)  # stated and true
both_families = pytest.mark.parametrize("statements", [LABELS, PLACEMENTS], ids=["labels", "placements"])


def drawn(count: int, resamples: int = 20) -> Resamples:
    return Resamples.draw([str(film) for film in range(count)], resamples, 0)


def counted_one_by_one(
    statements: Statements, stated: Sequence[FindingSet], true: Sequence[FindingSet]
) -> tuple[int, int, int]:
    """True positives, made and true statements."""
    hits = made = borne_out = 0
    for of_report, of_film in zip(stated, true, strict=True):
        for statement in statements.columns.values():
            said, shown = statement in statements.read(of_report), statement in statements.read(of_film)
            hits += said and shown
            made += said
            borne_out += shown
    return hits, made, borne_out


@both_families
@settings(deadline=None)
@given(pairs_of_films)
def test_micro_figures_are_those_of_counting_one_by_one(
    statements: Statements, films: list[tuple[FindingSet, FindingSet]]
) -> None:
    stated, true = zip(*films, strict=True)
    hits, made, borne_out = counted_one_by_one(statements, stated, true)
    figures = statements.figures(statements.matrix(stated), statements.matrix(true), drawn(len(films)))
    assert all(figure.low <= figure.value <= figure.high for figure in figures.values())
    if not borne_out:
        assert figures == {}
        return
    prefix = statements.prefix
    expected = (hits / made if made else 0.0, hits / borne_out, 2 * hits / (made + borne_out))
    names = [f"{prefix}_{name}" for name in ("precision_micro", "recall_micro", "f1_micro")]
    assert [figures[name].value for name in names] == pytest.approx(expected)


@both_families
@settings(deadline=None)
@given(pairs_of_films)
def test_a_resample_is_counted_as_the_films_that_it_drew(
    statements: Statements, films: list[tuple[FindingSet, FindingSet]]
) -> None:
    stated, true = zip(*films, strict=True)
    weights = drawn(len(films), resamples=3).weights
    values = statements.values(Counts.of(statements.matrix(stated), statements.matrix(true), weights))
    for row, times in enumerate(weights.astype(int)):
        again = [film for film, count in zip(films, times, strict=True) for _ in range(count)]
        hits, made, borne_out = counted_one_by_one(statements, *zip(*again, strict=True))
        expected = 2 * hits / (made + borne_out) if made + borne_out else math.nan
        assert values[f"{statements.prefix}_f1_micro"][row] == pytest.approx(expected, nan_ok=True)


@both_families
@settings(deadline=None)
@given(st.lists(films, min_size=1, max_size=6), st.lists(films, min_size=1, max_size=8))
def test_best_constant_is_that_of_brute_force(
    statements: Statements, candidates: list[FindingSet], true: list[FindingSet]
) -> None:
    truth, resamples = statements.matrix(true), drawn(len(true))
    each = [
        statements.figures(statements.matrix([candidate] * len(true)), truth, resamples)
        for candidate in candidates
    ]
    best = statements.best_constant(statements.matrix(candidates), truth)
    assert set(best) == set(statements.figure_names(truth))
    for name, row in best.items():
        values = [figures[name].value for figures in each]
        assert values[row] == pytest.approx(max(values))
