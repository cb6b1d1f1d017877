"""How long a phantom's film takes to draw: the budget is 50 ms on one core."""

from __future__ import annotations

import itertools

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe_train.findings import Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.drawing.film import draw_film

NORMAL: tuple[Finding, ...] = ()
MANY = (
    Finding(FindingKind.CARDIOMEGALY, severity=Severity.MILD),
    Finding(FindingKind.INTERSTITIAL_MARKINGS, Side.BILATERAL, severity=Severity.SEVERE),
    Finding(FindingKind.PNEUMOTHORAX, Side.LEFT, severity=Severity.MILD),
    Finding(FindingKind.CONSOLIDATION, Side.RIGHT, Zone.LOWER, Severity.SEVERE),
    Finding(FindingKind.STERNOTOMY_WIRES),
    Finding(FindingKind.PACEMAKER, Side.LEFT),
)


@pytest.mark.benchmark(group="phantom")
@pytest.mark.parametrize("findings", [NORMAL, MANY], ids=["normal", "six-findings"])
def test_draw_film(benchmark: BenchmarkFixture, findings: tuple[Finding, ...]) -> None:
    seeds = itertools.count()
    film = benchmark(lambda: draw_film(findings, next(seeds)))
    assert film.shape == (512, 512)
