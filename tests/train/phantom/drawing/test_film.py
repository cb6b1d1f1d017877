"""Drawn films: the same everywhere, plausible, and showing each finding where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.drawing.exposure import Exposure
from cxrscribe_train.phantom.drawing.film import draw_film
from cxrscribe_train.phantom.drawing.noise import Stream

MIDLINE = 256
VISIBLE = 4  # grey levels
# Kinds whose drawing crosses the midline by nature: the rest of a film must not change on the other side.
CROSSING = {FindingKind.SCOLIOSIS, FindingKind.PACEMAKER, FindingKind.CENTRAL_LINE}


def every_finding() -> list[Finding]:
    return [
        Finding(kind, side, zone, severity)
        for kind, allowed in VARIATIONS.items()
        for side in allowed.sides
        for zone in allowed.zones
        for severity in allowed.severities
    ]


def name(finding: Finding) -> str:
    return "-".join(filter(None, (finding.kind, finding.side, finding.zone, finding.severity)))


def change(finding: Finding, seed: int) -> NDArray[np.float64]:
    """float64 [512, 512]: what the finding adds to the film of the same chest, in grey levels."""
    return draw_film([finding], seed).astype(float) - draw_film([], seed)


def reduced(film: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    side = len(film) // factor
    return film.reshape(side, factor, side, factor).mean(axis=(1, 3))


findings_lists = st.lists(st.sampled_from(every_finding()), max_size=6)


@given(findings_lists, st.integers(-(2**65), 2**65))
@settings(max_examples=40, deadline=None)
def test_any_findings_give_a_whole_film(findings: list[Finding], seed: int) -> None:
    film = draw_film(findings, seed)
    assert film.shape == (512, 512)
    assert film.dtype == np.uint8
    assert film.flags.c_contiguous
    assert np.percentile(film, 1) < 25  # open air
    assert np.percentile(film, 95) > 150  # abdomen
    assert film.std() > 45


@given(findings_lists, st.integers(0, 2**40))
@settings(max_examples=5, deadline=None)
def test_same_seed_gives_the_same_pixels(findings: list[Finding], seed: int) -> None:
    assert np.array_equal(draw_film(findings, seed), draw_film(findings, seed))


def test_other_seed_gives_another_film() -> None:
    assert np.abs(draw_film([], 1).astype(int) - draw_film([], 2)).mean() > 3


def test_normal_film_has_dark_lungs_and_bright_middle() -> None:
    for seed in range(20):
        film = draw_film([], seed).astype(float)
        lungs = [film[200:330, columns].mean() for columns in (slice(120, 170), slice(350, 400))]
        assert max(lungs) < 105
        assert film[250:340, 240:272].mean() > max(lungs) + 70
        assert film[460:500, 200:312].mean() > 150
        assert film[400:500, :6].mean() < 30


@pytest.mark.parametrize("finding", every_finding(), ids=name)
def test_finding_is_visible_and_on_its_side(finding: Finding) -> None:
    seed = 100 + every_finding().index(finding)
    difference = change(finding, seed)
    noise = noise_level(seed)
    for factor, least_pixels in ((1, 150), (4, 8)):
        strength = np.abs(reduced(difference, factor))
        affected = strength[strength > VISIBLE]
        assert affected.size >= least_pixels
        assert affected.mean() > 10 > 2 * noise / factor
    right, left = (np.abs(half).sum() for half in np.split(difference, [MIDLINE], axis=1))
    total = right + left
    if finding.side is Side.LEFT:
        assert left / total > (0.5 if finding.kind in CROSSING else 0.9)
    elif finding.side is Side.RIGHT:
        assert right / total > (0.5 if finding.kind in CROSSING else 0.9)
    elif finding.side is Side.BILATERAL:
        assert min(left, right) / total > 0.15


def noise_level(seed: int) -> float:
    """Standard deviation of the grain on a film of even thickness, in grey levels."""
    even = np.full((512, 512), 1500, dtype=np.int32)
    stream = Stream(seed)
    film = Exposure.drawn(stream.fork("exposure")).develop(even, stream.fork("grain"))
    return float(film.std())


@pytest.mark.parametrize(
    "kind",
    [FindingKind.CONSOLIDATION, FindingKind.NODULE, FindingKind.MASS, FindingKind.GRANULOMA],
)
def test_zones_follow_each_other_downwards(kind: FindingKind) -> None:
    severity = VARIATIONS[kind].severities[0]
    for seed in range(6):
        heights = []
        for zone in (Zone.UPPER, Zone.MID, Zone.LOWER):
            strength = np.abs(change(Finding(kind, Side.RIGHT, zone, severity), seed)).sum(axis=1)
            heights.append((strength * np.arange(512)).sum() / strength.sum())
        assert heights[0] + 25 < heights[1] < heights[2] - 25


@pytest.mark.parametrize(
    ("kind", "side"),
    [
        (FindingKind.PLEURAL_EFFUSION, Side.LEFT),
        (FindingKind.PNEUMOTHORAX, Side.RIGHT),
        (FindingKind.CARDIOMEGALY, Side.NONE),
        (FindingKind.INTERSTITIAL_MARKINGS, Side.BILATERAL),
        (FindingKind.ELEVATED_HEMIDIAPHRAGM, Side.LEFT),
        (FindingKind.HIATAL_HERNIA, Side.NONE),
    ],
)
def test_severity_grows_with_the_change(kind: FindingKind, side: Side) -> None:
    changes = [
        np.abs(change(Finding(kind, side, severity=severity), 11)).sum()
        for severity in (Severity.MILD, Severity.MODERATE, Severity.SEVERE)
    ]
    assert changes == sorted(changes)


def test_pneumothorax_darkens_and_effusion_brightens() -> None:
    air = change(Finding(FindingKind.PNEUMOTHORAX, Side.LEFT, severity=Severity.SEVERE), 4)
    fluid = change(Finding(FindingKind.PLEURAL_EFFUSION, Side.LEFT, severity=Severity.SEVERE), 4)
    assert air[120:180, 350:400].mean() < -10
    assert fluid[280:400, 350:400].mean() > 40


def test_two_nodules_are_two_places() -> None:
    one = Finding(FindingKind.NODULE, Side.LEFT, Zone.UPPER)
    other = Finding(FindingKind.NODULE, Side.RIGHT, Zone.LOWER)
    difference = np.abs(draw_film([one, other], 9).astype(int) - draw_film([], 9))
    assert difference[:MIDLINE, MIDLINE:].max() > 25
    assert difference[MIDLINE:, :MIDLINE].max() > 25
    assert difference[:200, :200].max() < 25


def test_finding_looks_the_same_beside_another_kind() -> None:
    nodule = Finding(FindingKind.NODULE, Side.RIGHT, Zone.MID)
    wires = Finding(FindingKind.STERNOTOMY_WIRES)
    alone = draw_film([nodule], 5)
    together = draw_film([wires, nodule], 5)
    assert np.array_equal(alone[:, :200], together[:, :200])
