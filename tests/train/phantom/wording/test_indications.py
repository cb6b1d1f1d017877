"""The patient's text says something of the findings and of the wording; it names neither finding nor side."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import pytest

from cxrscribe.cleaning import clean
from cxrscribe_train.corpus.study import Study
from cxrscribe_train.findings import FindingKind
from cxrscribe_train.labeller import label
from cxrscribe_train.labeller.place import places_of
from cxrscribe_train.phantom.recipe import Recipe, sampled_recipe
from cxrscribe_train.phantom.wording.indications import COMPLAINTS, FORMS, GENERAL

TOLD = {complaint: kind for kind, complaints in COMPLAINTS.items() for _, complaint in complaints}


@lru_cache(maxsize=1)
def recipes() -> tuple[Recipe, ...]:
    return tuple(sampled_recipe(3, index) for index in range(1, 3001))


def complaint_of(study: Study) -> str:
    (found,) = [
        complaint
        for complaint in (*TOLD, *(text for _, text in GENERAL))
        if re.search(
            rf"(^|with |for |disease, ){re.escape(complaint)}([.;]|$)", study.indication, re.IGNORECASE
        )
    ]
    return found


def test_all_else_is_what_it_was_before_indications_said_something() -> None:
    digest = hashlib.sha256()
    for seed in (0, 7):
        for index in range(1, 101):
            study = sampled_recipe(seed, index).study
            texts = (study.study_id, study.findings, study.impression, study.comparison, *study.mesh)
            digest.update("\n".join(texts).encode())
    assert digest.hexdigest() == "c9920414abf63831ec60b4a180c8efd5dbf731df3bb47b87cb84e59e300fc127"


def test_the_same_study_has_the_same_indication() -> None:
    digest = hashlib.sha256("\n".join(recipe.study.indication for recipe in recipes()).encode())
    assert digest.hexdigest() == GOLDEN_INDICATIONS


GOLDEN_INDICATIONS = "0223a04dee9fa6dcc1e7ccab6d775e8b3b487736fdc54efaf64c67fc816f3800"


@pytest.mark.parametrize("kind", FindingKind)
def test_a_complaint_raises_the_expectation_of_its_finding(kind: FindingKind) -> None:
    shown = [any(finding.kind is kind for finding in recipe.findings) for recipe in recipes()]
    told = [TOLD.get(complaint_of(recipe.study)) is kind for recipe in recipes()]
    hits = [drawn for drawn, named in zip(shown, told, strict=True) if named]
    assert len(hits) >= 50
    assert all(hits)  # what brings with a finding is told of those who have it
    assert 0.09 < sum(shown) / len(shown) < 0.16
    assert 0.2 < len(hits) / sum(shown) < 0.6  # not of all of them: the film has to be looked at


def test_normal_films_and_a_quarter_of_the_others_have_a_general_complaint() -> None:
    general = {text for _, text in GENERAL}
    normal = [recipe for recipe in recipes() if not recipe.findings]
    others = [recipe for recipe in recipes() if recipe.findings]
    assert all(complaint_of(recipe.study) in general for recipe in normal)
    share = sum(complaint_of(recipe.study) in general for recipe in others) / len(others)
    assert share == pytest.approx(0.25, abs=0.03)


def test_who_asks_at_length_is_answered_at_length() -> None:
    asked = [(len(clean(recipe.study.indication)), len(clean(recipe.study.findings))) for recipe in recipes()]
    long, short = ([answer for question, answer in asked if rule(question)] for rule in (_is_long, _is_short))
    assert len(long) > 100
    assert len(short) > 100
    assert sum(long) / len(long) > 1.3 * sum(short) / len(short)


def _is_long(question: int) -> bool:
    return question >= 14


def _is_short(question: int) -> bool:
    return question <= 3


def test_no_indication_names_a_finding_or_a_place() -> None:
    for complaint in (*TOLD, *(text for _, text in GENERAL)):
        for form in (text for forms in FORMS.values() for _, text in forms):
            text = form.format(complaint=complaint)
            assert label(text) == frozenset(), text
            assert places_of(clean(text)) == frozenset(), text


def test_indications_carry_the_mark_of_de_identification_now_and_then() -> None:
    texts = [recipe.study.indication for recipe in recipes()]
    assert 0.2 < sum("XXXX" in text for text in texts) / len(texts) < 0.9
