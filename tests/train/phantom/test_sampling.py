from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.sampling import compatible, footprint, sample_findings, sample_variation
from cxrscribe_train.phantom.stream import IntegerStream

STUDIES = 6000


@cache
def studies() -> tuple[tuple[Finding, ...], ...]:
    return tuple(sample_findings(IntegerStream.named("sampling", index)) for index in range(STUDIES))


def test_a_quarter_is_normal_and_the_rest_has_one_to_five_findings() -> None:
    counts = Counter(len(findings) for findings in studies())
    assert counts[0] / STUDIES == pytest.approx(0.25, abs=0.03)
    assert max(counts) == 5
    abnormal = [len(findings) for findings in studies() if findings]
    assert sum(abnormal) / len(abnormal) == pytest.approx(2.3, abs=0.2)


@pytest.mark.parametrize("kind", FindingKind)
def test_every_kind_is_about_equally_common(kind: FindingKind) -> None:
    share = sum(any(finding.kind is kind for finding in findings) for findings in studies()) / STUDIES
    assert 0.085 <= share <= 0.15


def test_no_constant_report_scores_well() -> None:
    """The best constant report states the most common kinds: micro-F1 of the best number of them."""
    counts = Counter(finding.kind for findings in studies() for finding in findings)
    ranked = [count for _, count in counts.most_common()]
    best = max(
        2 * sum(ranked[:stated]) / (stated * STUDIES + sum(ranked)) for stated in range(1, len(ranked) + 1)
    )
    assert best < 0.25


def test_findings_are_of_different_kinds_in_fixed_order() -> None:
    order = list(FindingKind)
    for findings in studies():
        places = [order.index(finding.kind) for finding in findings]
        assert places == sorted(set(places))


def test_no_two_findings_of_a_study_hide_each_other() -> None:
    for findings in studies():
        for one in findings:
            assert all(compatible(one, other) for other in findings if other is not one)


@pytest.mark.parametrize("kind", FindingKind)
def test_every_variation_of_a_kind_occurs(kind: FindingKind) -> None:
    seen = [finding for findings in studies() for finding in findings if finding.kind is kind]
    assert {finding.side for finding in seen} == set(VARIATIONS[kind].sides)
    assert {finding.zone for finding in seen} == set(VARIATIONS[kind].zones)
    assert {finding.severity for finding in seen} == set(VARIATIONS[kind].severities)


def effusion(side: Side, severity: Severity = Severity.MODERATE) -> Finding:
    return Finding(FindingKind.PLEURAL_EFFUSION, side, severity=severity)


LEFT_NODULE = Finding(FindingKind.NODULE, Side.LEFT, Zone.LOWER)
HERNIA = Finding(FindingKind.HIATAL_HERNIA, severity=Severity.MILD)
LARGE_HEART = Finding(FindingKind.CARDIOMEGALY, severity=Severity.SEVERE)
EMPHYSEMA = Finding(FindingKind.EMPHYSEMA, Side.BILATERAL, severity=Severity.MODERATE)
LEFT_PACEMAKER = Finding(FindingKind.PACEMAKER, Side.LEFT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (effusion(Side.LEFT), LEFT_NODULE),
        (
            effusion(Side.BILATERAL),
            Finding(FindingKind.ELEVATED_HEMIDIAPHRAGM, Side.RIGHT, severity=Severity.MILD),
        ),
        (effusion(Side.LEFT), Finding(FindingKind.PNEUMOTHORAX, Side.LEFT, severity=Severity.MILD)),
        (effusion(Side.LEFT, Severity.SEVERE), LARGE_HEART),
        (EMPHYSEMA, LARGE_HEART),
        (EMPHYSEMA, effusion(Side.LEFT)),
        (LARGE_HEART, LEFT_NODULE),
        (LARGE_HEART, HERNIA),
        (Finding(FindingKind.MASS, Side.LEFT, Zone.LOWER), LEFT_NODULE),
        (Finding(FindingKind.GRANULOMA, Side.BILATERAL, Zone.LOWER), LEFT_NODULE),
        (LEFT_PACEMAKER, Finding(FindingKind.CENTRAL_LINE, Side.LEFT)),
        (HERNIA, Finding(FindingKind.ELEVATED_HEMIDIAPHRAGM, Side.LEFT, severity=Severity.MILD)),
        (
            Finding(FindingKind.INTERSTITIAL_MARKINGS, Side.BILATERAL, severity=Severity.SEVERE),
            LEFT_NODULE,
        ),
    ],
)
def test_findings_that_hide_or_contradict_each_other_are_incompatible(one: Finding, other: Finding) -> None:
    assert not compatible(one, other)
    assert not compatible(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (effusion(Side.RIGHT), LEFT_NODULE),
        (effusion(Side.RIGHT, Severity.SEVERE), LARGE_HEART),
        (LEFT_PACEMAKER, Finding(FindingKind.CENTRAL_LINE, Side.RIGHT)),
        (LEFT_PACEMAKER, LARGE_HEART),
        (HERNIA, Finding(FindingKind.STERNOTOMY_WIRES)),
    ],
)
def test_findings_at_different_places_are_compatible(one: Finding, other: Finding) -> None:
    assert compatible(one, other)
    assert compatible(other, one)


def test_footprint_of_a_bilateral_finding_covers_both_lungs() -> None:
    assert footprint(effusion(Side.BILATERAL)) == {(Side.LEFT, Zone.LOWER), (Side.RIGHT, Zone.LOWER)}


@given(st.sampled_from(FindingKind), st.integers(0, 1 << 40))
def test_a_variation_keeps_to_what_is_given(kind: FindingKind, seed: int) -> None:
    allowed = VARIATIONS[kind]
    finding = sample_variation(
        kind, IntegerStream(seed), sides=allowed.sides[:1], severities=allowed.severities[-1:]
    )
    assert (finding.side, finding.severity) == (allowed.sides[0], allowed.severities[-1])
    assert finding.zone in allowed.zones
