"""How a patient's text becomes numbers: the same for the same words, zeros where nothing is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.errors import BundleError
from cxrscribe.patient_text import MOST_CHARACTERS, PatientText, terms_of

pytestmark = pytest.mark.arm64

TERMS = ("chest", "pain", "chest pain", "cough", "fever")


def patient_text(size: int = 3) -> PatientText:
    random = np.random.default_rng(0)
    weights = 1 + random.random(len(TERMS)).astype(np.float32)
    return PatientText(TERMS, weights, random.normal(size=(len(TERMS), size)).astype(np.float32))


TEXT = patient_text()


def test_terms_are_words_and_pairs_within_a_sentence() -> None:
    assert terms_of("Chest pain, fever. XXXX-year-old; COUGH") == [
        *("chest", "pain", "chest pain", "fever"),
        *("year", "old", "year old", "cough"),
    ]


def test_numbers_are_the_projection_of_weights_of_length_1() -> None:
    places = [TERMS.index(term) for term in ("chest", "pain", "chest pain")]
    weights = TEXT.weights[places].astype(np.float64)
    expected = ((weights / np.linalg.norm(weights))[:, np.newaxis] * TEXT.projection[places]).sum(axis=0)
    np.testing.assert_allclose(TEXT.encode("Chest pain."), expected, rtol=1e-6)


@pytest.mark.parametrize("text", [None, "", " \n", "...", "no word that is known", "XXXX"])
def test_nothing_known_is_zeros(text: str | None) -> None:
    assert TEXT.encode(text).tolist() == [0.0] * 3


@given(st.lists(st.sampled_from(["chest", "pain", "cough", "fever", "other", ".", "xxxx"]), max_size=12))
def test_order_of_sentences_case_and_marks_change_nothing(words: list[str]) -> None:
    text = " ".join(words)
    expected = TEXT.encode(text).tobytes()
    assert TEXT.encode(text.upper()).tobytes() == expected
    assert TEXT.encode(f"{text} . {text}").tobytes() == expected
    assert TEXT.encode(text.replace(" ", "  ").replace(".", "!")).tobytes() == expected


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_any_text_gives_finite_numbers(text: str) -> None:
    found = TEXT.encode(text)
    assert found.shape == (3,)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_text_without_end_is_cut() -> None:
    assert (TEXT.encode("cough " + "x" * MOST_CHARACTERS) == TEXT.encode("cough")).all()


def test_what_is_written_is_read_back_to_the_bit(tmp_path: Path) -> None:
    TEXT.write(tmp_path / "text.json")
    found = PatientText.read(tmp_path / "text.json")
    assert found.terms == TEXT.terms
    assert found.weights.tobytes() == TEXT.weights.tobytes()
    assert found.projection.tobytes() == TEXT.projection.tobytes()
    assert found.to_bytes() == (tmp_path / "text.json").read_bytes()


def test_parts_that_do_not_fit_are_refused() -> None:
    for change, problem in (
        ({"terms": (*TERMS[:-1], TERMS[0])}, "has the term 'chest' twice"),
        ({"terms": TERMS[:-1]}, "which don't fit"),
        ({"weights": TEXT.weights[:-1]}, "which don't fit"),
        ({"projection": TEXT.projection[:, :0]}, "which don't fit"),
        ({"projection": TEXT.projection * np.float32(np.nan)}, "aren't finite"),
        ({"cleaning": 7}, "cleaning 7, not 1 or 2"),
        ({"terms": (), "weights": TEXT.weights[:0], "projection": TEXT.projection[:0]}, "has 0 terms"),
    ):
        with pytest.raises(BundleError, match=problem):
            replace(TEXT, **change)


def test_a_damaged_file_is_refused_by_its_field(tmp_path: Path) -> None:
    for change, problem in (
        ({"format": 9}, "format is 9, not 1"),
        ({"weights": [1, "2"]}, "weights is .*, not an array of finite numbers"),
        ({"projection": [[1, 2], [3]]}, "projection is .*, not an array of arrays of one length"),
        ({"projection": [1, 2, 3, 4, 5]}, "not an array"),
        ({"projection": [[None]] * 5}, "not an array of finite numbers"),
        ({"other": 1}, "unknown field 'other'"),
    ):
        (tmp_path / "text.json").write_text(json.dumps(TEXT.to_json() | change), encoding="utf-8")
        with pytest.raises(BundleError, match=problem):
            PatientText.read(tmp_path / "text.json")
