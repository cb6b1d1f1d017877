from __future__ import annotations

import pytest

from cxrscribe.cleaning import clean
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, placed
from cxrscribe_train.findings import FindingKind as K
from cxrscribe_train.findings import Severity, Side, Zone

LEFT_NODULE = FindingSet(frozenset({K.NODULE}), frozenset({(K.NODULE, Side.LEFT)}))
LOWER_MASS = FindingSet(frozenset({K.MASS}), frozenset({(K.MASS, Zone.LOWER)}))
MASS_SOMEWHERE = FindingSet(frozenset({K.MASS}), None)


def test_a_report_states_kinds_places_and_severities() -> None:
    assert FindingSet.stated_by(clean("The heart is mildly enlarged. Nodule on the left.")) == FindingSet(
        frozenset({K.CARDIOMEGALY, K.NODULE}),
        frozenset({(K.NODULE, Side.LEFT)}),
        frozenset({(K.CARDIOMEGALY, Severity.MILD)}),
    )


def test_a_union_has_the_findings_of_both() -> None:
    assert (
        FindingSet(frozenset({K.NODULE, K.MASS}), frozenset({(K.NODULE, Side.LEFT), (K.MASS, Zone.LOWER)}))
        == LEFT_NODULE | LOWER_MASS
    )


def test_a_union_with_unknown_places_has_unknown_places() -> None:
    for union in (LEFT_NODULE | MASS_SOMEWHERE, MASS_SOMEWHERE | LEFT_NODULE):
        assert union == FindingSet(frozenset({K.NODULE, K.MASS}), None)


def test_a_union_has_the_severities_of_both_or_unknown_ones() -> None:
    small = FindingSet(frozenset({K.MASS}), None, frozenset({(K.PLEURAL_EFFUSION, Severity.MILD)}))
    large = FindingSet(frozenset({K.MASS}), None, frozenset({(K.PLEURAL_EFFUSION, Severity.SEVERE)}))
    assert (small | large).severities == {
        (K.PLEURAL_EFFUSION, Severity.MILD),
        (K.PLEURAL_EFFUSION, Severity.SEVERE),
    }
    assert (small | MASS_SOMEWHERE).severities is None


@pytest.mark.parametrize(
    ("kind", "side", "zone", "places"),
    [
        (K.NODULE, Side.LEFT, Zone.UPPER, {Side.LEFT, Zone.UPPER}),
        (K.GRANULOMA, Side.BILATERAL, Zone.LOWER, {Side.LEFT, Side.RIGHT, Zone.LOWER}),
        (K.SCOLIOSIS, Side.RIGHT, Zone.NONE, {Side.RIGHT}),
        (K.CARDIOMEGALY, Side.NONE, Zone.NONE, set()),
    ],
)
def test_a_drawn_finding_is_at_its_side_and_in_its_zone(
    kind: K, side: Side, zone: Zone, places: set[Side | Zone]
) -> None:
    assert placed(kind, side, zone) == {(kind, place) for place in places}
