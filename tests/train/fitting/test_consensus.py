from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe.json_object import parse_json_object
from cxrscribe_train.evaluation.metrics.bleu import BleuCounts
from cxrscribe_train.fitting.consensus import (
    LEAST_STUDIES,
    ConsensusTargets,
    consensus_targets,
    in_description,
)
from cxrscribe_train.ngrams import Words

# Sentences that state nothing: all reports made of them are one group.
NORMAL = ("the heart is normal .", "lungs are clear .", "no effusion .", "bones are intact .")
normal_reports = st.lists(
    st.lists(st.sampled_from(NORMAL), min_size=1, max_size=4).map(lambda s: tuple(" ".join(s).split())),
    min_size=LEAST_STUDIES,
    max_size=7,
)


def words(text: str) -> Words:
    return tuple(text.split())


def studies_of(reports: list[Words]) -> list[str]:
    return [f"study {number}" for number in range(len(reports))]


def agreement(reports: list[Words], place: int) -> float:
    """BLEU-4 of one report written of all the others' films."""
    others = [report for other, report in enumerate(reports) if other != place]
    counts = BleuCounts.of([reports[place]] * len(others), others)
    return float(counts.statistic(4)(np.ones((1, len(others))))[0])


@settings(max_examples=60)
@given(normal_reports)
def test_the_report_that_agrees_best_with_the_others_is_taught(reports: list[Words]) -> None:
    taught, targets = consensus_targets(reports, studies_of(reports), seed=0)
    assert len(set(taught)) == 1
    best = max(agreement(reports, place) for place in range(len(reports)))
    found = max(agreement(reports, place) for place, own in enumerate(reports) if own == taught[0])
    assert found == pytest.approx(best, rel=1e-9)
    assert targets.films == len(reports)
    assert targets.replaced == sum(own != taught[0] for own in reports)
    assert (targets.groups, targets.largest, targets.targets) == (1, len(reports), 1)


LEFT = "there is a {} nodule in the left upper lobe ."
RIGHT = "there is a {} nodule in the right upper lobe ."


def test_only_reports_with_the_same_findings_places_and_severities_are_one_group() -> None:
    texts = [
        *("the heart is normal .", "heart normal .", "the heart is normal . lungs are clear ."),
        *(LEFT.format(word) for word in ("small", "tiny", "new")),
        *(RIGHT.format(word) for word in ("small", "tiny")),
        *("mild cardiomegaly is seen .", "there is severe cardiomegaly .", "mild cardiomegaly ."),
    ]
    reports = [words(text) for text in texts]
    taught, targets = consensus_targets(reports, studies_of(reports), seed=0)
    assert len({*taught[:3]}) == len({*taught[3:6]}) == 1
    assert taught[3] in reports[3:6]
    assert list(taught[6:]) == reports[6:]  # two of a kind agree on nothing
    assert (targets.groups, targets.largest) == (2, 3)


def test_a_study_counts_once_and_all_its_films_are_taught_the_same() -> None:
    odd = words("lungs are clear . bones are intact . no effusion .")
    reports = [
        odd,
        odd,
        odd,
        words("the heart is normal ."),
        words("the heart is normal ."),
        words("no effusion ."),
    ]
    studies = ["one", "one", "one", "two", "three", "four"]
    taught, targets = consensus_targets(reports, studies, seed=0)
    assert set(taught) == {words("the heart is normal .")}
    assert targets.largest == 4
    two, _ = consensus_targets(reports[:4], ["one", "one", "one", "two"], seed=0)
    assert list(two) == reports[:4]  # four films, but two studies


def test_a_large_group_is_held_against_a_seeded_sample() -> None:
    random = np.random.default_rng(0)
    reports = [words(" ".join(random.choice(NORMAL, size=3))) for _ in range(60)]
    first, again = (consensus_targets(reports, studies_of(reports), seed=4, compared=10)[0] for _ in range(2))
    assert first == again
    assert first[0] in reports
    whole, _ = consensus_targets(reports, studies_of(reports), seed=4)
    best = max(agreement(reports, place) for place in range(len(reports)))
    place = reports.index(whole[0])
    assert agreement(reports, place) == pytest.approx(best)


def test_the_numbers_survive_their_json_and_a_description() -> None:
    targets = ConsensusTargets(films=9, replaced=5, groups=2, largest=4, targets=6)
    document = parse_json_object(json.dumps(targets.to_json()).encode(), "run.json", error=InputError)
    assert ConsensusTargets.from_json(document) == targets
    assert in_description(f"Trained on 9 films. Seed 0. {targets}") == str(targets)
    assert in_description("Trained on 9 films. Seed 0.") is None
    assert "5 of 9 training films" in str(targets)
