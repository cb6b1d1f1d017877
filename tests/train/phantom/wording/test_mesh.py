from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe_train.findings import VARIATIONS, Finding, FindingKind, Severity, Side, Zone
from cxrscribe_train.phantom.coverage import Coverage
from cxrscribe_train.phantom.recipe import mesh_recipe
from cxrscribe_train.phantom.stream import IntegerStream
from cxrscribe_train.phantom.wording.mesh import findings_from_mesh, mesh_of

ALL_FINDINGS = [
    Finding(kind, side, zone, severity)
    for kind, allowed in VARIATIONS.items()
    for side, zone, severity in itertools.product(allowed.sides, allowed.zones, allowed.severities)
]


def drawn(*headings: str, seed: int = 0) -> tuple[Finding, ...]:
    return findings_from_mesh(headings, IntegerStream(seed)).findings


@pytest.mark.parametrize("finding", ALL_FINDINGS, ids=str)
def test_a_heading_is_read_back_as_the_finding_it_was_made_of(finding: Finding) -> None:
    heading = mesh_of(finding)
    drawing = findings_from_mesh((heading,), IntegerStream(3))
    assert drawing.findings == (finding,)
    assert drawing.drawn == (heading,)
    assert drawing.undrawn == ()


@pytest.mark.parametrize(
    ("heading", "finding"),
    [
        ("Cardiomegaly/borderline", Finding(FindingKind.CARDIOMEGALY, severity=Severity.MILD)),
        ("Cardiac Shadow/enlarged/severe", Finding(FindingKind.CARDIOMEGALY, severity=Severity.SEVERE)),
        (
            "Costophrenic Angle/right/blunted",
            Finding(FindingKind.PLEURAL_EFFUSION, Side.RIGHT, severity=Severity.MILD),
        ),
        (
            "Opacity/lung/lower lobe/left/patchy/severe",
            Finding(FindingKind.CONSOLIDATION, Side.LEFT, Zone.LOWER, Severity.SEVERE),
        ),
        ("Opacity/lung/upper lobe/left/round", Finding(FindingKind.NODULE, Side.LEFT, Zone.UPPER)),
        ("Opacity/lung/base/bilateral/streaky", Finding(FindingKind.ATELECTASIS, Side.BILATERAL, Zone.LOWER)),
        ("Cicatrix/lung/lingula", Finding(FindingKind.ATELECTASIS, Side.LEFT, Zone.MID)),
        ("Nodule/lung/lingula", Finding(FindingKind.NODULE, Side.LEFT, Zone.MID)),
        ("Nodule/lung/middle lobe", Finding(FindingKind.NODULE, Side.RIGHT, Zone.MID)),
        (
            "Opacity/lung/bilateral/interstitial/moderate",
            Finding(FindingKind.INTERSTITIAL_MARKINGS, Side.BILATERAL, severity=Severity.MODERATE),
        ),
        (
            "Lung/hyperdistention/mild",
            Finding(FindingKind.EMPHYSEMA, Side.BILATERAL, severity=Severity.MILD),
        ),
        ("Implanted Medical Device/thorax/left", Finding(FindingKind.PACEMAKER, Side.LEFT)),
        ("Surgical Instruments/mediastinum", Finding(FindingKind.STERNOTOMY_WIRES)),
    ],
)
def test_headings_of_the_collection_are_drawn(heading: str, finding: Finding) -> None:
    for seed in range(5):
        assert drawn(heading, seed=seed) == (finding,)


@pytest.mark.parametrize(
    "heading",
    [
        "Aorta/tortuous",
        "Lung/hypoinflation",
        "No Indexing",
        "Implanted Medical Device/humerus/right",
        "Implanted Medical Device/aortic valve",
        "Scoliosis/lumbar vertebrae",
        "Opacity/lung/hilum/right",
        "Mass/mediastinum/right",
        "Calcinosis/aorta",
        "Pulmonary Atelectasis/upper lobe/left",
        "Pleural Effusion/posterior",
        "Diaphragm/right/obscured",
        "Lung, Hyperlucent/left",
        "",
    ],
)
def test_what_has_no_drawing_is_undrawn(heading: str) -> None:
    drawing = findings_from_mesh((heading,), IntegerStream(0))
    assert (drawing.findings, drawing.undrawn) == ((), (heading,))


def test_a_normal_study_is_drawn_without_findings() -> None:
    drawing = findings_from_mesh(("normal",), IntegerStream(0))
    assert (drawing.findings, drawing.drawn) == ((), ("normal",))


def test_both_lungs_get_a_finding_each_where_a_finding_has_one_side() -> None:
    findings = drawn("Consolidation/lung/base/bilateral/mild")
    assert {finding.side for finding in findings} == {Side.LEFT, Side.RIGHT}
    assert len(findings) == 2


def test_a_vague_heading_adds_nothing_to_a_precise_one() -> None:
    assert drawn("Pleural Effusion", "Pleural Effusion/left/small") == (
        Finding(FindingKind.PLEURAL_EFFUSION, Side.LEFT, severity=Severity.MILD),
    )


def test_two_places_are_two_findings() -> None:
    findings = drawn("Nodule/lung/upper lobe/left", "Nodule/lung/lower lobe/right")
    assert set(findings) == {
        Finding(FindingKind.NODULE, Side.LEFT, Zone.UPPER),
        Finding(FindingKind.NODULE, Side.RIGHT, Zone.LOWER),
    }


def test_what_a_heading_leaves_open_is_decided_by_the_stream() -> None:
    assert drawn("Pleural Effusion", seed=5) == drawn("Pleural Effusion", seed=5)
    assert len({drawn("Pleural Effusion", seed=seed) for seed in range(50)}) > 4


HEADINGS = st.lists(
    st.lists(
        st.sampled_from(
            [
                *(
                    "Cardiomegaly",
                    "Opacity",
                    "Nodule",
                    "Diaphragm",
                    "Lung",
                    "Pneumothorax",
                    "Scoliosis",
                    "normal",
                ),
                *("lung", "base", "apex", "lingula", "hilum", "right", "left", "bilateral", "multiple"),
                *("mild", "small", "elevated", "round", "Pulmonary Atelectasis"),
            ]
        ),
        min_size=1,
        max_size=6,
    ).map("/".join),
    max_size=6,
)


@given(HEADINGS, st.integers(0, 1000))
def test_every_heading_is_either_drawn_or_undrawn(headings: list[str], seed: int) -> None:
    drawing = findings_from_mesh(headings, IntegerStream(seed))
    assert sorted(drawing.drawn + drawing.undrawn) == sorted(headings)
    assert len(set(drawing.findings)) == len(drawing.findings)
    assert findings_from_mesh(headings, IntegerStream(seed)) == drawing


def test_coverage_counts_headings() -> None:
    from cxrscribe_train.corpus.study import Study

    studies = [
        Study("CXR1", findings="Text.", mesh=("Cardiomegaly/mild", "Aorta/tortuous")),
        Study("CXR2", findings="Text.", mesh=("Aorta/tortuous",)),
        Study("CXR3", findings="Text.", mesh=("normal",)),
    ]
    coverage = Coverage.of([mesh_recipe(0, study, f"{study.study_id}.xml") for study in studies])
    assert (coverage.films, coverage.films_without_finding) == (3, 2)
    assert (coverage.headings, coverage.headings_drawn) == (4, 2)
    assert (coverage.distinct_headings, coverage.distinct_headings_drawn) == (3, 2)
    assert coverage.most_frequent_undrawn == (("Aorta/tortuous", 2),)
    assert coverage.findings[FindingKind.CARDIOMEGALY] == 1
    assert "2 of 4 (50.0 %)" in coverage.to_table()


@pytest.mark.slow
def test_most_headings_of_the_real_collection_are_drawn(shared_data: Path) -> None:
    from cxrscribe_train.corpus.archive import open_collection
    from cxrscribe_train.corpus.nlmcxr import read_studies

    reports = read_studies(open_collection(shared_data / "nlmcxr" / "NLMCXR_reports.tgz"))
    recipes = [mesh_recipe(0, study, f"{study.study_id}.xml") for study in reports.studies if study.findings]
    coverage = Coverage.of(recipes)
    assert coverage.films == 3425
    assert coverage.headings_drawn / coverage.headings > 0.6
    assert min(coverage.findings.values()) > 0
