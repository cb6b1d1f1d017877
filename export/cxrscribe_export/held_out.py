"""The films that an export is tried on: real ones, which training has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.corpus.table import Corpus
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.features import encode_batch, films_of
from cxrscribe_train.films import read_films

FILMS_KEPT: Final = 160
"""Films whose pixels are kept, for the encoder's largest batch."""

_BATCH_FILMS: Final = 16


@dataclass(frozen=True)
class HeldOut:
    """Films of the test split, and of the validation split where the test split is too small."""

    split: str
    """`test` or `val+test`."""
    names: tuple[str, ...]
    """What records call each film: split and place in it. An image id could say too much about a patient."""
    films: NDArray[np.uint8]
    """[M, H, W]: the first films, at most FILMS_KEPT."""
    features: NDArray[np.float32]
    """[N, F]: Paddle's features of all films."""


@dataclass(frozen=True)
class _Film:
    name: str
    image_id: str
    path: Path


def hold_out(
    corpus: Corpus,
    encoder: FilmEncoder,
    preprocessing: Preprocessing,
    count: int,
    feature_file: FeatureFile | None = None,
    advance: Callable[[int], None] = lambda films: None,
) -> HeldOut:
    """Read and encode `count` held-out films; those that can't be read are left out for others.

    Args:
        corpus: the corpus that the run was trained on.
        encoder: the run's, in eval mode.
        preprocessing: the run's.
        count: how many films.
        feature_file: features that this encoder made before; only FILMS_KEPT films are read then.
        advance: called with the number of films done.

    Raises:
        InputError: the corpus has fewer films held out.
    """
    split, candidates = _choose(corpus, count)
    if feature_file is None:
        names, films, features = _encode(_readable(candidates, preprocessing), encoder, count, advance)
    else:
        known = set(feature_file.image_ids)
        candidates = [film for film in candidates if film.image_id in known][:count]
        names = [film.name for film in candidates]
        films = [film for _, film in islice(_readable(candidates, preprocessing), FILMS_KEPT)]
        features = feature_file.rows_of(film.image_id for film in candidates)
        advance(len(candidates))
    if len(names) < count or not films:
        raise InputError(
            f"{corpus.root} has {len(names)} usable films in {split}, but parity is tried on {count}: "
            "give a larger corpus or a smaller --parity-films"
        )
    return HeldOut(split, tuple(names), np.stack(films), features)


def _choose(corpus: Corpus, count: int) -> tuple[str, list[_Film]]:
    """The test split's films; with those of val where they are too few."""
    test = _films(corpus, "test")
    if len(test) >= count:
        return "test", test
    return "val+test", [*_films(corpus, "val"), *test]


def _films(corpus: Corpus, split: str) -> list[_Film]:
    return [
        _Film(f"{split}[{place}]", image_id, path)
        for place, (image_id, path) in enumerate(films_of(corpus, split))
    ]


def _readable(
    films: Sequence[_Film], preprocessing: Preprocessing
) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Name and pixels of each film that can be read."""
    for name, film in read_films(((film.name, film.path) for film in films), preprocessing):
        if isinstance(film, np.ndarray):
            yield name, film


def _encode(
    readable: Iterator[tuple[str, NDArray[np.uint8]]],
    encoder: FilmEncoder,
    count: int,
    advance: Callable[[int], None],
) -> tuple[list[str], list[NDArray[np.uint8]], NDArray[np.float32]]:
    """Names of the first `count` films, pixels of the first FILMS_KEPT, features of all."""
    names: list[str] = []
    films: list[NDArray[np.uint8]] = []
    features = [np.zeros((0, encoder.feature_size), dtype=np.float32)]
    while batch := list(islice(readable, min(_BATCH_FILMS, count - len(names)))):
        pixels = np.stack([film for _, film in batch])
        features.append(encode_batch(encoder, pixels))
        films += list(pixels)[: FILMS_KEPT - len(films)]
        names += [name for name, _ in batch]
        advance(len(batch))
    return names, films, np.concatenate(features)
