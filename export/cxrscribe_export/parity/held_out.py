"""The films that an export is tried on: real ones, which training has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.corpus.films import read_films
from cxrscribe_train.corpus.table import Corpus
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.features import encode_batch, films_of

_BATCH_FILMS: Final = 16


@dataclass(frozen=True)
class HeldOut:
    """Films of the test split, and of the validation split where the test split is too small."""

    split: str
    """`test` or `val+test`."""
    names: tuple[str, ...]
    """What records call each film: split and place in it. An image id could say too much about a patient."""
    films: NDArray[np.uint8]
    """[N, H, W]: their pixels, preprocessed."""
    features: NDArray[np.float32]
    """[N, F]: what Paddle's encoder makes of them."""
    indications: tuple[str, ...] = ()
    """What is known of each patient, for models with a context; empty where nothing is."""


@dataclass(frozen=True)
class _Film:
    name: str
    image_id: str
    path: Path
    indication: str


@dataclass(frozen=True)
class _ReadFilm:
    name: str
    image_id: str
    indication: str
    pixels: NDArray[np.uint8]  # [H, W]


def hold_out(
    corpus: Corpus,
    trained_on: Set[str],
    encoder: FilmEncoder,
    preprocessing: Preprocessing,
    count: int,
    feature_file: FeatureFile | None = None,
    advance: Callable[[int], None] = lambda films: None,
) -> HeldOut:
    """Read and encode `count` held-out films; those that can't be read are left out for others.

    Args:
        corpus: the corpus that the run was trained on, or one that shares no study with it.
        trained_on: ids of the studies that the run was trained on.
        encoder: the run's, in eval mode.
        preprocessing: the run's.
        count: how many films.
        feature_file: features that this encoder made before, taken instead of encoding; films that it doesn't
            hold are left out.
        advance: called with the number of films done.

    Raises:
        InputError: the corpus has fewer films held out, or the run was trained on one of them.
    """
    split, candidates = _choose(corpus, count, trained_on)
    if feature_file is not None:
        known = set(feature_file.image_ids)
        candidates = [film for film in candidates if film.image_id in known]
    readable = _readable(candidates, preprocessing)
    chosen: list[_ReadFilm] = []
    features: list[NDArray[np.float32]] = []
    while batch := list(islice(readable, min(_BATCH_FILMS, count - len(chosen)))):
        chosen += batch
        features.append(_features(batch, encoder, feature_file))
        advance(len(batch))
    if len(chosen) < count:
        raise InputError(
            f"{corpus.root} has {len(chosen)} usable films in {split}, but parity is tried on {count}: "
            "give a larger corpus or a smaller --parity-films"
        )
    return HeldOut(
        split,
        tuple(film.name for film in chosen),
        np.stack([film.pixels for film in chosen]),
        np.concatenate(features),
        tuple(film.indication for film in chosen),
    )


def _choose(corpus: Corpus, count: int, trained_on: Set[str]) -> tuple[str, list[_Film]]:
    """The test split's films; with those of val where they are too few. Training must have seen none."""
    split, films = "test", _films(corpus, "test")
    if len(films) < count:
        split, films = "val+test", [*_films(corpus, "val"), *films]
    held = {film.image_id for film in films}
    seen = {row.study_id for row in corpus.rows if row.image_id in held} & trained_on
    if seen:
        raise InputError(
            f"{len(seen)} studies of {split} in {corpus.root} were trained on by this run; give its own "
            "corpus, or one that shares no study with it"
        )
    return split, films


def _films(corpus: Corpus, split: str) -> list[_Film]:
    indications = {row.image_id: row.indication for row in corpus.rows}
    return [
        _Film(f"{split}[{place}]", image_id, path, indications[image_id])
        for place, (image_id, path) in enumerate(films_of(corpus, split))
    ]


def _readable(films: Sequence[_Film], preprocessing: Preprocessing) -> Iterator[_ReadFilm]:
    """The films that can be read, in order."""
    read = read_films(((film.image_id, film.path) for film in films), preprocessing)
    for film, (image_id, pixels) in zip(films, read, strict=True):
        if isinstance(pixels, np.ndarray):
            yield _ReadFilm(film.name, image_id, film.indication, pixels)


def _features(
    films: Sequence[_ReadFilm], encoder: FilmEncoder, feature_file: FeatureFile | None
) -> NDArray[np.float32]:
    """Paddle's features float32 [n, F]: from the file, or made now."""
    if feature_file is not None:
        return feature_file.rows_of(film.image_id for film in films)
    return encode_batch(encoder, np.stack([film.pixels for film in films]))
