from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from cxrscribe.settings import BeamSettings
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.model import Ablation, ReportModel
from cxrscribe_train.evaluation.subject import Film
from cxrscribe_train.evaluation.writing import FILMS_OF_THE_MEAN, write_without

if TYPE_CHECKING:
    from cxrscribe_train.feature_file import FeatureFile


class Listener:
    """A model of a test whose report says what it was given: the rounded feature, or the patient's text."""

    ablations: tuple[Ablation, ...] = (Ablation.WITHOUT_FILM,)

    def from_films(self, films: Sequence[Film], settings: BeamSettings) -> Iterator[Words]:
        return ((film.indication or "silence", film.comparison or "silence") for film in films)

    def from_features(
        self,
        features: NDArray[np.float32],
        settings: BeamSettings,
        indications: Sequence[str] | None = None,
    ) -> Iterator[Words]:
        assert features.dtype == np.float32
        if Ablation.WITHOUT_TEXT not in self.ablations:
            return ((f"{row[0]:.1f}",) for row in features)
        assert indications is not None
        return ((f"{row[0]:.1f}", text) for row, text in zip(features, indications, strict=True))

    def encode(self, films: Sequence[Film]) -> NDArray[np.float32]:
        return np.array([[int(film.image_id)] for film in films], np.float32)


FILMS = [
    Film(
        str(place), str(place), None, (), FindingSet(frozenset(), None), indication="cough", comparison="none"
    )
    for place in range(100)
]
MODEL = cast("ReportModel", Listener())


def test_without_film_every_film_has_the_mean_of_the_first_ones() -> None:
    mean = sum(range(FILMS_OF_THE_MEAN)) / FILMS_OF_THE_MEAN
    reports = write_without(MODEL, Ablation.WITHOUT_FILM, FILMS, BeamSettings(), None)
    assert reports == [(f"{mean:.1f}",)] * len(FILMS)


class Reader(Listener):
    """One that reads the patient's text beside the film."""

    ablations = (Ablation.WITHOUT_FILM, Ablation.WITHOUT_TEXT)


def test_without_film_a_model_that_reads_still_has_each_patients_text() -> None:
    films = [replace(film, indication=f"cough {place % 2}") for place, film in enumerate(FILMS[:3])]
    reports = write_without(cast("ReportModel", Reader()), Ablation.WITHOUT_FILM, films, BeamSettings(), None)
    assert reports == [("1.0", "cough 0"), ("1.0", "cough 1"), ("1.0", "cough 0")]


def test_features_that_are_there_are_not_made_again() -> None:
    def rows_of(image_ids: Iterator[str]) -> NDArray[np.float32]:
        return np.array([[7.0] for _ in image_ids], np.float32)

    encoded = cast("FeatureFile", SimpleNamespace(rows_of=rows_of))
    assert write_without(MODEL, Ablation.WITHOUT_FILM, FILMS[:3], BeamSettings(), encoded) == [("7.0",)] * 3


def test_without_text_a_model_is_told_nothing_of_the_patient() -> None:
    films = [FILMS[0], replace(FILMS[1], indication="")]
    reports = write_without(MODEL, Ablation.WITHOUT_TEXT, films, BeamSettings(), None)
    assert reports == [("silence", "silence")] * 2
    assert films[0].indication == "cough"
