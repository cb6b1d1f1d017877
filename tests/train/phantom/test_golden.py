"""The very pixels of some films: they must come out the same on every machine and with every numpy.

A change that is meant to alter the drawing changes these hashes; say so in its commit.
"""

from __future__ import annotations

import hashlib

import pytest

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.drawing.film import draw_film

COMBINED = (
    Finding(FindingKind.EMPHYSEMA, Side.BILATERAL, severity=Severity.MODERATE),
    Finding(FindingKind.NODULE, Side.LEFT, Zone.UPPER),
    Finding(FindingKind.NODULE, Side.RIGHT, Zone.LOWER),
    Finding(FindingKind.PACEMAKER, Side.LEFT),
    Finding(FindingKind.PLEURAL_EFFUSION, Side.BILATERAL, severity=Severity.MILD),
)


def last_variation(kind: FindingKind) -> Finding:
    allowed = VARIATIONS[kind]
    return Finding(kind, allowed.sides[-1], allowed.zones[-1], allowed.severities[-1])


FILMS: dict[str, tuple[tuple[Finding, ...], int]] = {
    "normal 0": ((), 0),
    "normal 1": ((), 1),
    "normal with a large seed": ((), 2**63 + 5),
    "combined": (COMBINED, 77),
    **{str(kind): ((last_variation(kind),), 10 + index) for index, kind in enumerate(FindingKind)},
}
HASHES = {
    "normal 0": "aa50ba3f9c3d83041430c4d695a363ed0c2c16813ca8950826413509637ed9cf",
    "normal 1": "6a9454f0192c8305029faeae977b83d0a82e23ea8279c547dd69769db21350b8",
    "normal with a large seed": "37bee80968f947c28a00a39e50a967befa4601069694efaf36de83df5d4d5b8a",
    "combined": "0d7fdf4540bb06c1fb3e868b96a8a2fa85e9fb7d0e112f530cb4e67c3099f60f",
    "cardiomegaly": "968a31bdfdf781f2adf202f27af8375a5bb4d8e9ad7006654e824d0a710dbb91",
    "pleural_effusion": "4f8054e7632e1610cd79ad24802cf5f91d0084339f3c66166da720362ea8416f",
    "pneumothorax": "a360409ac6802d9c635a08db0037b2cb8c00032ce6644372abd1279fcbc23122",
    "consolidation": "189cd67458c607aa54da28f87889089fceaf0ceb9376489dd4a096770a9c18e7",
    "nodule": "e859a7330ae7c126a659e43fcfb547d0f32ee71e0c35f308b1551f2d7a94ae84",
    "mass": "4d1bfdacc7b3423d5c8ecfdc810a69af99048a0cdbbbefe867b21e2b5af38f42",
    "atelectasis": "739374aa83da961f286b711bee9cf6ac23069442d9323cc3d35168c2f194cf43",
    "interstitial_markings": "2f3e7811b0b1fdaf126509020363a59b8737bb260a75d2168d8182c7ffadfb25",
    "emphysema": "f934586f8574679e9e97333b74c2043be5126c1720de0c35a795f2d13579828a",
    "granuloma": "1f51234253b1ea2516c20ab0c8986b2606eb060960f3721843cc336f7687559a",
    "elevated_hemidiaphragm": "8ac74a8ec367f5b25a51777b9f4331122cb31a31bb6a0ee547a37fabd08da2b1",
    "hiatal_hernia": "ca8b0171fd9f5957cc9ddc2da076dad1649e6fa921505c8fe3feda2aba8c2c36",
    "scoliosis": "869dcee6d726fd6861d97421f92b40c4e66596341959aa8e6d92132696dc3698",
    "pacemaker": "2e559d35607422bde9f853b2323ddb1fadd90776c4efc242a62a2621cf75ba1f",
    "sternotomy_wires": "1dde9fe2d7959ae4344bb62c3d2954879e2bfb7e7feed1825ce88ed721e7ed9f",
    "central_line": "886d749366b6437cbfd35fe40c6586f35374109fd29291b02a76f4e037bc37b5",
}


@pytest.mark.parametrize("name", FILMS)
def test_pixels_never_change(name: str) -> None:
    findings, seed = FILMS[name]
    film = draw_film(findings, seed)
    assert hashlib.sha256(film.tobytes()).hexdigest() == HASHES[name]


def test_hashes_differ() -> None:
    assert len(set(HASHES.values())) == len(FILMS)
