"""Let a model write a report for every film, or for its features, with all inputs or without one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.cli.progress import progress
from cxrscribe.errors import FilmError, InputError
from cxrscribe.settings import BeamSettings
from cxrscribe.study import pooled
from cxrscribe_train.evaluation.evaluation import Written
from cxrscribe_train.evaluation.metrics.bleu import Words
from cxrscribe_train.evaluation.model import Ablation, ReportModel
from cxrscribe_train.evaluation.subject import Film

if TYPE_CHECKING:
    from cxrscribe_train.feature_file import FeatureFile


FILMS_OF_THE_MEAN: Final = 64
"""Films whose mean features stand for every film where the film is taken away."""


def open_features(path: Path, model: ReportModel) -> FeatureFile:
    """Read features. Raises InputError unless the model's own encoder made them, all of them and finite."""
    from cxrscribe_train.feature_file import FeatureFile

    encoder = model.identity.encoder_sha256
    if encoder is None:
        raise InputError(
            f"bundle {model.identity.name} doesn't say which weights its encoder was made from, so that "
            "features can't be checked; leave out --features"
        )
    encoded = FeatureFile.open(path)
    encoded.check_usable()
    encoded.check_encoder(encoder, model.preprocessing)
    return encoded


def write_reports(
    model: ReportModel, films: Sequence[Film], settings: BeamSettings, encoded: FeatureFile | None
) -> tuple[list[Written], list[str]]:
    """Reports of the films in order, and "image id: reason" of those that can't be read."""
    written: list[Written] = []
    damaged: list[str] = []
    reports = progress(_reports(model, films, settings, encoded), len(films), "reports")
    for film, report in zip(films, reports, strict=True):
        if isinstance(report, FilmError):
            damaged.append(f"{film.name}: {report}")
        else:
            written.append(Written(film, report))
    return written, damaged


def write_without(
    model: ReportModel,
    ablation: Ablation,
    films: Sequence[Film],
    settings: BeamSettings,
    encoded: FeatureFile | None,
) -> list[Words]:
    """The reports that the model writes for films that can be read, without one of its inputs.

    Without film every film has the mean features of the first ones: all get one report, or one a text, of a
    model that reads the patient's. Without text the films come without indication and comparison.
    """
    if ablation is Ablation.WITHOUT_FILM:
        some = films[:FILMS_OF_THE_MEAN]
        features = model.encode(some) if encoded is None else features_of(some, encoded)
        mean = features.mean(axis=0, keepdims=True, dtype=np.float32)
        if Ablation.WITHOUT_TEXT not in model.ablations:
            (report,) = model.from_features(mean, settings)
            return [report] * len(films)
        texts = list(dict.fromkeys(film.indication for film in films))
        reports = model.from_features(mean.repeat(len(texts), axis=0), settings, texts)
        of_text = dict(zip(texts, reports, strict=True))
        return [of_text[film.indication] for film in films]
    silent = [replace(film, indication="", comparison="") for film in films]
    written = list(_reports(model, silent, settings, encoded))
    if any(isinstance(report, FilmError) for report in written):
        raise InputError("a film that could be read before can't be read any more; evaluate again")
    return [report for report in written if not isinstance(report, FilmError)]


def _reports(
    model: ReportModel, films: Sequence[Film], settings: BeamSettings, encoded: FeatureFile | None
) -> Iterator[Words | FilmError]:
    if encoded is None:
        return model.from_films(films, settings)
    rows = features_of(films, encoded)
    return model.from_features(rows, settings, [film.indication for film in films])


def features_of(films: Sequence[Film], encoded: FeatureFile) -> NDArray[np.float32]:
    """One row float32 [F] a film, of a file that has them all; pooled, of those that are together."""
    rows = iter(encoded.rows_of(each.image_id for film in films for each in film.pooled))
    return np.stack([pooled(list(islice(rows, len(film.pooled)))) for film in films])
