from __future__ import annotations

import pytest

from cxrscribe.cleaning import clean
from cxrscribe_train.evaluation.metrics.bootstrap import Resamples
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet, Placement, placed
from cxrscribe_train.evaluation.metrics.places import COUNTED, PLACEMENTS
from cxrscribe_train.findings import FindingKind as K
from cxrscribe_train.findings import Side, Zone
from cxrscribe_train.labeller import PLACES
from cxrscribe_train.phantom.sampling import sample_findings
from cxrscribe_train.phantom.stream import IntegerStream
from cxrscribe_train.phantom.wording.report import write_findings


def counted(text: str) -> list[str]:
    return PLACEMENTS.names(FindingSet.stated_by(clean(text)))


def figures_of(stated: list[FindingSet], true: list[FindingSet]) -> dict[str, float]:
    resamples = Resamples.draw([str(film) for film in range(len(true))], 20, 0)
    figures = PLACEMENTS.figures(PLACEMENTS.matrix(stated), PLACEMENTS.matrix(true), resamples)
    return {name: figure.value for name, figure in figures.items()}


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        (K.CARDIOMEGALY, ()),
        (K.EMPHYSEMA, ()),
        (K.INTERSTITIAL_MARKINGS, ()),
        (K.PLEURAL_EFFUSION, (Side.LEFT, Side.RIGHT)),
        (K.PNEUMOTHORAX, (Side.LEFT, Side.RIGHT)),
        (K.NODULE, PLACES),
        (K.GRANULOMA, PLACES),
        (K.ATELECTASIS, (Side.LEFT, Side.RIGHT, Zone.MID, Zone.LOWER)),
    ],
)
def test_places_are_counted_where_the_catalogue_leaves_a_choice(
    kind: K, places: tuple[Side | Zone, ...]
) -> None:
    assert tuple(place for of_kind, place in COUNTED if of_kind is kind) == places


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("There is a nodule in the left upper lobe.", ["nodule left", "nodule upper"]),
        ("A small right apical pneumothorax is seen.", ["pneumothorax right"]),
        ("Increased interstitial markings bilaterally.", []),
        (
            "Calcified granulomas in both lung bases.",
            ["granuloma left", "granuloma right", "granuloma lower"],
        ),
        ("No left effusion.", []),
    ],
)
def test_what_no_report_needs_to_say_is_not_counted(text: str, names: list[str]) -> None:
    assert counted(text) == names


def test_saying_that_emphysema_is_bilateral_or_not_scores_the_same() -> None:
    kinds = frozenset({K.EMPHYSEMA, K.NODULE})
    nodule: frozenset[Placement] = placed(K.NODULE, Side.LEFT, Zone.MID)
    diffuse = placed(K.EMPHYSEMA, Side.BILATERAL, Zone.NONE)
    true = FindingSet(kinds, nodule | diffuse)
    for stated in (FindingSet(kinds, nodule), FindingSet(kinds, nodule | diffuse)):
        assert set(figures_of([stated], [true]).values()) == {1.0}


def test_figures_of_a_case_counted_by_hand() -> None:
    kinds = frozenset({K.NODULE, K.PLEURAL_EFFUSION})
    true = [
        FindingSet(kinds, placed(K.NODULE, Side.LEFT, Zone.UPPER)),
        FindingSet(kinds, placed(K.PLEURAL_EFFUSION, Side.BILATERAL, Zone.NONE)),
    ]
    stated = [
        FindingSet(kinds, placed(K.NODULE, Side.RIGHT, Zone.UPPER)),
        FindingSet(kinds, placed(K.PLEURAL_EFFUSION, Side.LEFT, Zone.NONE)),
    ]
    # The nodule's zone and one side of the effusion are hits: 2 of 3 stated, 2 of 4 true.
    assert figures_of(stated, true) == pytest.approx(
        {"place_precision_micro": 2 / 3, "place_recall_micro": 2 / 4, "place_f1_micro": 4 / 7}
    )


def test_phantom_reports_score_1_against_what_was_drawn() -> None:
    stated, true = [], []
    for seed in range(300):
        stream = IntegerStream.named("place-figures", seed)
        findings = sample_findings(stream)
        drawn = [placed(finding.kind, finding.side, finding.zone) for finding in findings]
        true.append(FindingSet(frozenset(), frozenset[Placement]().union(*drawn)))
        stated.append(FindingSet.stated_by(clean(write_findings(findings, stream))))
    assert figures_of(stated, true)["place_f1_micro"] >= 0.98


def test_unknown_places_are_not_taken_for_none() -> None:
    with pytest.raises(ValueError, match="leave their figures out"):
        PLACEMENTS.matrix([FindingSet(frozenset({K.MASS}), None)])
