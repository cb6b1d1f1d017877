"""Encoding a corpus once, so that a decoder trains on features alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.corpus.films import DamagedFilm, read_films
from cxrscribe_train.corpus.table import Corpus, CorpusRow
from cxrscribe_train.feature_file import (
    EncoderIdentity,
    FeatureWriter,
    begun_weights,
    not_finite,
    weights_path,
)
from cxrscribe_train.fitting.calibration import calibrate
from cxrscribe_train.weights import WeightsSource, build_encoder, load_weights, save_weights

CALIBRATION_FILMS: Final = 64

Films = Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class Extraction:
    """What one run of `cxrscribe features` is to do."""

    backbone: str
    backbone_options: Mapping[str, int | float | str]
    weights: WeightsSource
    preprocessing: Preprocessing
    batch_size: int = 16

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch size is {self.batch_size}; give at least 1")

    @classmethod
    def of_bundle(cls, manifest: Manifest, weights: WeightsSource, batch_size: int = 16) -> Extraction:
        """By the encoder of a bundle: its backbone, and its preprocessing, by the rules of its time."""
        made = manifest.architecture
        return cls(made.backbone, made.backbone_options, weights, manifest.preprocessing, batch_size)


@dataclass(frozen=True)
class ExtractionResult:
    """Counts of one run: films in the file at its end, those encoded now, and those that can't be read."""

    films: int
    encoded: int
    damaged: tuple[DamagedFilm, ...]
    feature_size: int
    weights_sha256: str


def films_of(corpus: Corpus, split: str | None = None) -> list[tuple[str, Path]]:
    """Image id and file of every image that has a file, in the corpus's order; None takes all splits."""
    rows: dict[str, CorpusRow] = {}
    for row in corpus.rows if split is None else corpus.split(split):
        if row.image_path:
            rows.setdefault(row.image_id, row)
    return [(image_id, corpus.image_file(row)) for image_id, row in rows.items()]


def extract_features(
    films: Films,
    extraction: Extraction,
    out: Path,
    advance: Callable[[int], None] = lambda films: None,
) -> ExtractionResult:
    """Encode `films` into the file `out`; films that it already holds are skipped.

    Args:
        films: image ids and files.
        extraction: the encoder to use.
        out: the h5 file; the encoder's weights are written beside it.
        advance: called with the number of films done.

    Raises:
        InputError: nothing to encode, weights that don't fit or give features that are not finite, or a file
            begun by another encoder.
    """
    if not films:
        raise InputError(
            "no image file to encode: choose another --split, or get the images and make the corpus again"
        )
    encoder, weights_sha256 = _prepared_encoder(films, extraction, out)
    identity = EncoderIdentity(
        backbone=extraction.backbone,
        backbone_options=extraction.backbone_options,
        weights=extraction.weights.identity,
        weights_sha256=weights_sha256,
        preprocessing=extraction.preprocessing,
    )
    with FeatureWriter(out, identity, encoder.feature_size) as writer:
        done = set(writer.image_ids)
        todo = [(image_id, path) for image_id, path in films if image_id not in done]
        advance(len(films) - len(todo))
        damaged = _encode(todo, encoder, extraction, writer, advance)
        if not writer.image_ids:
            raise InputError(f"none of {len(films)} films can be read, the first one is {damaged[0]}")
        writer.finish()
        return ExtractionResult(
            films=len(writer.image_ids),
            encoded=len(todo) - len(damaged),
            damaged=tuple(damaged),
            feature_size=encoder.feature_size,
            weights_sha256=weights_sha256,
        )


def encode_batch(encoder: FilmEncoder, films: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Features float32 [N, F] of films uint8 [N, H, W]; `encoder` is in eval mode."""
    with paddle.no_grad():
        return encoder(paddle.to_tensor(films)).numpy()


def _prepared_encoder(films: Films, extraction: Extraction, out: Path) -> tuple[FilmEncoder, str]:
    """The encoder in eval mode and its weights' sha256; they are written unless a run began `out`."""
    begun, path = begun_weights(out), weights_path(out)
    if begun is not None and begun != extraction.weights.identity:
        raise InputError(
            f"{out} was begun with the weights {begun}, not {extraction.weights.identity}; "
            "give the same --weights or another --out"
        )
    if begun is not None and path.is_file():
        encoder = build_encoder(extraction.backbone, extraction.backbone_options, extraction.preprocessing)
        load_weights(encoder.backbone, path)
        sha256 = sha256_of(path)
    else:
        encoder = build_encoder(
            extraction.backbone, extraction.backbone_options, extraction.preprocessing, extraction.weights
        )
        if extraction.weights.kind == "random":
            _calibrate(encoder, films, extraction)
        sha256 = save_weights(encoder.backbone, path)
    encoder.eval()
    return encoder, sha256


def _calibrate(encoder: FilmEncoder, films: Films, extraction: Extraction) -> None:
    """Set the batch-norm statistics of random weights from films spread evenly over the corpus.

    Raises InputError when too few of them can be read; a film alone shows no variance, unless it is all there
    is.
    """
    spread = films[:: max(1, len(films) // CALIBRATION_FILMS)][:CALIBRATION_FILMS]
    read = [film for _, film in read_films(spread, extraction.preprocessing)]
    damaged = [film for film in read if isinstance(film, DamagedFilm)]
    readable = [film for film in read if isinstance(film, np.ndarray)]
    if len(readable) < min(2, len(spread)):
        raise InputError(
            f"{'only 1' if readable else 'none'} of {len(spread)} films can be read, the first that can't "
            f"is {damaged[0]}; random weights need 2 for their batch-norm statistics: restore the images, or "
            "give trained weights"
        )
    calibrate(encoder, _batches(readable, max(2, extraction.batch_size)))


def _batches(films: Sequence[NDArray[np.uint8]], size: int) -> Iterator[paddle.Tensor]:
    """Films in batches uint8 [n, H, W]; one that is left over is in none, unless it is the only one."""
    for start in range(0, len(films), size):
        batch = films[start : start + size]
        if len(batch) > 1 or len(films) == 1:
            yield paddle.to_tensor(np.stack(batch))


def _encode(
    films: Films,
    encoder: FilmEncoder,
    extraction: Extraction,
    writer: FeatureWriter,
    advance: Callable[[int], None],
) -> list[DamagedFilm]:
    damaged: list[DamagedFilm] = []
    results = read_films(films, extraction.preprocessing)
    while batch := list(islice(results, extraction.batch_size)):
        damaged += [film for _, film in batch if isinstance(film, DamagedFilm)]
        readable = [(image_id, film) for image_id, film in batch if isinstance(film, np.ndarray)]
        if readable:
            ids = [image_id for image_id, _ in readable]
            features = encode_batch(encoder, np.stack([film for _, film in readable]))
            _check_finite(ids, features, extraction)
            writer.append(ids, features)
        advance(len(batch))
    return damaged


def _check_finite(image_ids: Sequence[str], features: NDArray[np.float32], extraction: Extraction) -> None:
    wrong = not_finite(image_ids, features)
    if wrong:
        raise InputError(
            f"backbone {extraction.backbone!r} gives features that are not finite, of {len(wrong)} of "
            f"{len(image_ids)} films of a batch, such as {wrong[0]}; give other --weights or another --size, "
            "and another --out"
        )
