"""Features and a config of trainings that take a fraction of a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.table import read_reports
from cxrscribe_train.features import Extraction, extract_features, films_of
from cxrscribe_train.weights import WeightsSource
from support.square_corpus import write_squares


@dataclass(frozen=True)
class Material:
    """A corpus of squares, and features of all its films."""

    corpus: Path
    features: Path


@pytest.fixture(scope="package")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("tuning")
    corpus, features = write_squares(folder / "corpus"), folder / "f.h5"
    extraction = Extraction(
        "mobilenet_v1", {"scale": 0.125}, WeightsSource.parse("random:0"), Preprocessing(32, 32)
    )
    extract_features(films_of(read_reports(corpus)), extraction, features)
    return Material(corpus, features)
