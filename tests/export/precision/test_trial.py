"""Which films precisions are calibrated and compared on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_export.precision.calibration_films import calibration_films
from cxrscribe_export.precision.trial import Trial
from cxrscribe_train.corpus.table import Corpus, read_reports
from support.square_corpus import write_squares

PREPROCESSING = Preprocessing(32, 32)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """8 training films, 4 of the validation and 3 of the test split."""
    return read_reports(write_squares(tmp_path / "squares", train=8, val=4, test=3))


def film(corpus: Corpus, number: int) -> np.ndarray:
    return PREPROCESSING.read(corpus.root / "images" / f"SQ{number}_PA.png")


def damage(corpus: Corpus, number: int) -> None:
    (corpus.root / "images" / f"SQ{number}_PA.png").write_bytes(b"not a film")


def test_the_test_split_is_taken_where_it_is_large_enough(corpus: Corpus) -> None:
    trial = Trial.of(corpus, PREPROCESSING, 2)
    assert trial.split == "test"
    np.testing.assert_array_equal(trial.films, [film(corpus, 12), film(corpus, 13)])
    assert trial.references[0][:4] == ("there", "is", "a", "small")


def test_the_validation_split_comes_behind_a_small_test_split(corpus: Corpus) -> None:
    trial = Trial.of(corpus, PREPROCESSING, 100)
    assert trial.split == "val+test"
    order = [12, 13, 14, 8, 9, 10, 11]
    np.testing.assert_array_equal(trial.films, [film(corpus, number) for number in order])
    assert len(trial.references) == len(trial.truth) == 7


def test_a_film_that_can_not_be_read_is_left_out_with_its_report(corpus: Corpus) -> None:
    damage(corpus, 12)
    trial = Trial.of(corpus, PREPROCESSING, 2)
    whole = Trial.of(corpus, PREPROCESSING, 3)
    np.testing.assert_array_equal(trial.films, [film(corpus, 13), film(corpus, 14)])
    assert trial.references == whole.references[:2]


def test_a_film_that_was_trained_on_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match=r"1 studies of test in .* were trained on"):
        Trial.of(corpus, PREPROCESSING, 2, {"SQ13"})


def test_a_corpus_without_test_films_is_refused(tmp_path: Path) -> None:
    corpus = read_reports(write_squares(tmp_path / "squares", train=3, val=0, test=0))
    with pytest.raises(InputError, match="no film with a report in val\\+test"):
        Trial.of(corpus, PREPROCESSING, 2)


def test_figures_are_those_of_an_evaluation(corpus: Corpus) -> None:
    trial = Trial.of(corpus, PREPROCESSING, 3)
    right = trial.figures(trial.references)
    assert right.bleu_4 == pytest.approx(1, abs=1e-6)
    assert right.label_f1_micro == 1
    wrong = trial.figures([("the", "heart", "is", "normal")] * 3)
    assert wrong.bleu_4 < 0.5
    assert wrong.label_f1_micro == 0


def test_label_f1_is_not_defined_where_nothing_is_true(corpus: Corpus) -> None:
    trial = Trial.of(corpus, PREPROCESSING, 3)
    nothing = Trial(trial.split, trial.films, trial.references, np.zeros_like(trial.truth))
    assert nothing.figures(trial.references).label_f1_micro is None


def test_calibration_films_are_training_films(corpus: Corpus) -> None:
    found = calibration_films(corpus, PREPROCESSING, 5).pixels
    training = [film(corpus, number) for number in range(8)]
    assert len(found) == 5
    assert all(any((each == other).all() for other in training) for each in found)
    np.testing.assert_array_equal(found, calibration_films(corpus, PREPROCESSING, 5).pixels)
    assert len(calibration_films(corpus, PREPROCESSING, 100).pixels) == 8


def test_calibration_films_are_those_of_the_run(corpus: Corpus) -> None:
    damage(corpus, 3)
    found = calibration_films(corpus, PREPROCESSING, 5, {"SQ2", "SQ3", "SQ12"})
    np.testing.assert_array_equal(found.pixels, [film(corpus, 2)])
    (row,) = (row for row in corpus.split("train") if row.study_id == "SQ2")
    assert found.indications == (row.indication,)
    with pytest.raises(InputError, match="no film to calibrate int8 with"):
        calibration_films(corpus, PREPROCESSING, 5, {"SQ3"})
