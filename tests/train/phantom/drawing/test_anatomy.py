"""Measures of the chest: each grade of a finding keeps clear of the next and of the normal chest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.findings import Finding, FindingKind, Severity, Side
from cxrscribe_train.phantom.drawing.anatomy import Anatomy
from cxrscribe_train.phantom.drawing.curve import UNIT
from cxrscribe_train.phantom.drawing.noise import Stream

SEEDS = st.integers(0, 2**40)


def anatomy(seed: int, *findings: Finding) -> Anatomy:
    return Anatomy.drawn(Stream(seed), findings)


def cardiothoracic_ratio(chest: Anatomy) -> float:
    heart = chest.heart()
    lungs = np.concatenate([chest.lung(-1), chest.lung(1)])
    return float(np.ptp(heart[:, 0]) / np.ptp(lungs[:, 0]))


@pytest.mark.parametrize(
    ("severity", "low", "high"),
    [
        (Severity.NONE, 0.39, 0.48),
        (Severity.MILD, 0.54, 0.595),
        (Severity.MODERATE, 0.60, 0.65),
        (Severity.SEVERE, 0.655, 0.72),
    ],
)
def test_cardiothoracic_ratio_tells_the_size_of_the_heart(
    severity: Severity, low: float, high: float
) -> None:
    findings = [Finding(FindingKind.CARDIOMEGALY, severity=severity)] if severity else []
    ratios = [cardiothoracic_ratio(anatomy(seed, *findings)) for seed in range(60)]
    assert low <= min(ratios)
    assert max(ratios) <= high


@given(SEEDS)
def test_right_dome_is_the_higher_one(seed: int) -> None:
    chest = anatomy(seed)
    assert 6 <= chest.dome(1) - chest.dome(-1) <= 16


@given(SEEDS, st.sampled_from([Side.LEFT, Side.RIGHT]), st.sampled_from(list(Severity)[:3]))
def test_raised_diaphragm_stands_clear_of_the_other(seed: int, side: Side, severity: Severity) -> None:
    chest = anatomy(seed, Finding(FindingKind.ELEVATED_HEMIDIAPHRAGM, side, severity=severity))
    sign = 1 if side is Side.LEFT else -1
    assert chest.dome(-sign) - chest.dome(sign) >= 44
    assert chest.dome(-sign) == anatomy(seed).dome(-sign)


@given(SEEDS, st.sampled_from(list(Severity)[:3]))
def test_emphysema_gives_long_flat_lungs_and_a_narrow_heart(seed: int, severity: Severity) -> None:
    chest = anatomy(seed, Finding(FindingKind.EMPHYSEMA, Side.BILATERAL, severity=severity))
    normal = anatomy(seed)
    for sign in (-1, 1):
        assert chest.dome(sign) - normal.dome(sign) >= 25
        assert chest.angle(sign) - chest.dome(sign) <= 20 < normal.angle(sign) - normal.dome(sign)
    assert cardiothoracic_ratio(chest) < 0.37
    assert chest.vessels < normal.vessels


def test_large_heart_stays_large_in_emphysema() -> None:
    emphysema = Finding(FindingKind.EMPHYSEMA, Side.BILATERAL, severity=Severity.MILD)
    enlarged = Finding(FindingKind.CARDIOMEGALY, severity=Severity.MILD)
    for findings in ([emphysema, enlarged], [enlarged, emphysema]):
        assert cardiothoracic_ratio(anatomy(3, *findings)) > 0.53


@pytest.mark.parametrize(("side", "sign"), [(Side.LEFT, 1), (Side.RIGHT, -1)])
def test_spine_bows_to_the_side_of_its_curve(side: Side, sign: int) -> None:
    shifts: list[Sequence[int]] = []
    for severity in (Severity.MILD, Severity.MODERATE, Severity.SEVERE):
        curve = Finding(FindingKind.SCOLIOSIS, side, severity=severity)
        bow = [int((anatomy(seed, curve).spine()[:, 0] * sign).max()) // UNIT for seed in range(40)]
        shifts.append((min(bow), max(bow)))
    assert shifts[0][0] > 20
    assert shifts[0][1] < shifts[1][0]
    assert shifts[1][1] < shifts[2][0]


@given(SEEDS)
def test_lungs_lie_on_their_own_sides(seed: int) -> None:
    chest = anatomy(seed)
    assert (chest.lung(1)[:, 0] > 0).all()
    assert (chest.lung(-1)[:, 0] < 0).all()


@given(SEEDS, st.integers(-100, 700))
def test_inner_edge_of_the_chest_never_passes_its_width(seed: int, y: int) -> None:
    chest = anatomy(seed)
    assert 0 < chest.edge(y) <= chest.half_width
    assert 0 < chest.inner(1, y) < chest.half_width
