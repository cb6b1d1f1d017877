"""What the patient's text becomes: learned from training reports alone, and told out of fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.context.folds import FOLDS, folds_of
from cxrscribe_train.context.patient_text import FittedText, fit_patient_text, sentences_of

TOLD = ("chest pain", "cough and fever", "hip surgery", "")
SAID = ("heart is large .", "left effusion is seen .", "lungs are clear .", "nothing new . lungs are clear .")


def fitted(rows: int = 80, size: int = 8, told: tuple[str, ...] = TOLD) -> FittedText:
    order = np.random.default_rng(0).integers(0, len(told), rows)
    return fit_patient_text(
        [told[place] for place in order],
        [SAID[place].split() for place in order],
        [f"S{row}" for row in range(rows)],
        size=size,
        cleaning=2,
        seed=0,
    )


def test_texts_that_are_followed_by_other_reports_get_other_numbers() -> None:
    text = fitted().text
    pain, pain_again, cough = (text.encode(each) for each in ("Chest PAIN!", "chest pain.", "fever, cough"))
    assert (pain == pain_again).all()
    assert np.linalg.norm(pain - cough) > 0.5 * np.linalg.norm(pain)


def test_terms_are_words_and_pairs_that_several_texts_have() -> None:
    text = fitted(told=("chest pain", "cough and fever", "hip surgery", "hip surgery")).text
    assert {"chest", "pain", "chest pain", "cough and", "and fever"} <= set(text.terms)
    once = fit_patient_text(
        ["chest pain"] * 20 + ["rare thing"] * 2,
        [SAID[0].split()] * 11 + [SAID[1].split()] * 11,
        [f"S{row}" for row in range(22)],
        size=4,
        cleaning=2,
        seed=0,
    ).text
    assert set(once.terms) == {"chest", "pain", "chest pain"}


def test_a_training_row_is_told_by_what_was_fitted_without_it() -> None:
    """Reports of chance say nothing: what is fitted on a row tells its report, out of fold it doesn't."""
    random = np.random.default_rng(1)
    rows, words = 60, [f"word{letter}" for letter in "abcdefgh"]
    told = [" ".join(random.choice(["ache", "cough", "fall", "fever", "rash"], 3)) for _ in range(rows)]
    said = [[*random.choice(words, 4), "."] for _ in range(rows)]
    studies = [f"S{row}" for row in range(rows)]
    found = fit_patient_text(told, said, studies, size=4, cleaning=2, seed=0)
    in_fold = np.stack([found.text.encode(text) for text in told])
    wanted = np.array([[word in report for word in words] for report in said], float)

    def agreement(numbers: np.ndarray) -> float:
        best, *_ = np.linalg.lstsq(in_fold, wanted - wanted.mean(axis=0), rcond=None)
        return float(((numbers @ best) * (wanted - wanted.mean(axis=0))).sum())

    assert agreement(in_fold) > 0
    assert agreement(found.out_of_fold) < 0.5 * agreement(in_fold)


def test_no_text_is_zeros_in_fold_and_out_of_it() -> None:
    found = fitted()
    order = np.random.default_rng(0).integers(0, len(TOLD), 80)
    silent = order == TOLD.index("")
    assert not found.out_of_fold[silent].any()
    assert found.out_of_fold[~silent].any(axis=1).all()
    assert not found.text.encode("").any()


def test_a_study_counts_once_however_many_films_it_has() -> None:
    told, said = ["chest pain", "cough"] * 20, [SAID[0].split(), SAID[1].split()] * 20
    studies = [f"S{row}" for row in range(40)]
    once = fit_patient_text(told, said, studies, size=4, cleaning=2, seed=0)
    twice = fit_patient_text(told * 2, said * 2, studies * 2, size=4, cleaning=2, seed=0)
    assert once.text.to_bytes() == twice.text.to_bytes()
    assert (twice.out_of_fold == np.vstack((once.out_of_fold, once.out_of_fold))).all()


@pytest.mark.parametrize("told", [("",), ("chest pain", "cough", "fall")])
def test_too_few_texts_are_refused(told: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="too few to learn what it says"):
        fitted(rows=5, told=told)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=40), st.integers(0, 9))
def test_a_study_is_in_one_fold_and_a_row_in_exactly_one(studies: list[str], seed: int) -> None:
    folds = folds_of(studies, seed)
    assert sorted(np.concatenate(folds).tolist()) == list(range(len(studies)))
    assert len(folds) == min(FOLDS, len(set(studies)))
    members = [{studies[row] for row in fold} for fold in folds]
    assert all(members)
    assert sum(map(len, members)) == len(set(studies))


def test_sentences_are_those_between_full_stops() -> None:
    assert list(sentences_of(["a", "b", ".", "c", ".", "d"])) == [("a", "b"), ("c",), ("d",)]
