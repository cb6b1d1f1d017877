"""What a training learns from: the inputs of both splits, and the encoder that they are of or for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxrscribe.bundle.files import sha256_of
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.corpus.films import DamagedFilm
from cxrscribe_train.corpus.table import Corpus
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.fitting.config import TrainingConfig
from cxrscribe_train.fitting.dataset import Examples
from cxrscribe_train.fitting.fit import starting_encoder
from cxrscribe_train.fitting.input_cache import CachedInputs, cache_features, cache_films
from cxrscribe_train.weights import WeightsSource


@dataclass(frozen=True)
class TrainingInputs:
    """What both kinds of training, on features and on films, start from.

    `weights` says where the encoder's weights came from. A training on films has the `encoder` that it starts
    from, one on features the `encoder_file` with the weights that made them.
    """

    train: CachedInputs
    val: CachedInputs
    preprocessing: Preprocessing
    backbone: str
    backbone_options: dict[str, int | float | str]
    feature_size: int
    weights: str
    encoder: FilmEncoder | None = None
    encoder_file: Path | None = None

    @property
    def damaged(self) -> tuple[DamagedFilm, ...]:
        """The films of both splits that can't be read."""
        return (*self.train.damaged, *self.val.damaged)

    def encoder_digest(self) -> str:
        """sha256 of all that says which encoder it is."""
        encoder = [self.backbone, self.backbone_options, self.preprocessing.to_json(), self.weights]
        if self.encoder_file is not None:
            encoder.append(sha256_of(self.encoder_file))
        return hashlib.sha256(json.dumps(encoder, sort_keys=True).encode()).hexdigest()

    def content_digest(self) -> str:
        """sha256 of the films or features themselves."""
        return hashlib.sha256(f"{self.train.digest()} {self.val.digest()}".encode()).hexdigest()

    def delete_caches(self) -> None:
        """Remove the cache files. They are as large as the corpus, and made again in a minute."""
        for cached in (self.train, self.val):
            cached.path.unlink(missing_ok=True)
            cached.path.with_suffix(".json").unlink(missing_ok=True)


def inputs_from_features(
    features: FeatureFile, examples: dict[str, Examples], folder: Path
) -> TrainingInputs:
    """Put the features of the examples of `train` and `val` into caches in `folder`.

    Raises InputError when a split has none, or a cache can't be written.
    """
    cached = {
        split: cache_features(features, examples[split].image_ids, _cache_file(folder, split))
        for split in examples
    }
    return TrainingInputs(
        train=cached["train"],
        val=cached["val"],
        preprocessing=features.encoder.preprocessing,
        backbone=features.encoder.backbone,
        backbone_options=dict(features.encoder.backbone_options),
        feature_size=features.feature_size,
        weights=features.encoder.weights,
        encoder_file=features.encoder_weights,
    )


def inputs_from_films(
    corpus: Corpus,
    examples: dict[str, Examples],
    config: TrainingConfig,
    folder: Path,
    advance: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> TrainingInputs | None:
    """Preprocess the films of the examples of `train` and `val` into caches in `folder`.

    Args:
        corpus: says where the films are.
        examples: by split.
        config: of an end-to-end training.
        folder: where the caches go.
        advance: called with the number of films prepared since the last call, and the number of all films.
        stop: asked after each film.

    Returns:
        None when stopped before the last film: another call goes on from there.

    Raises:
        InputError: the encoder can't be built, no film of a split can be read, or a cache can't be written.
    """
    network = config.network
    preprocessing = Preprocessing(network.size, network.size, png_range=network.png_range)
    # Built before the films are read: a wrong name or weights file should not cost minutes.
    encoder = starting_encoder(config, preprocessing)
    files = {row.image_id: corpus.image_file(row) for row in corpus.rows if row.image_path}
    total = sum(len(of_split) for of_split in examples.values())
    cached: dict[str, CachedInputs] = {}
    for split, of_split in examples.items():
        made = cache_films(
            [(image_id, files[image_id]) for image_id in of_split.image_ids],
            preprocessing,
            _cache_file(folder, split),
            lambda films: advance(films, total),
            stop,
        )
        if made is None:
            return None
        cached[split] = made
    return TrainingInputs(
        train=cached["train"],
        val=cached["val"],
        preprocessing=preprocessing,
        backbone=network.backbone,
        backbone_options=dict(network.backbone_options),
        feature_size=encoder.feature_size,
        weights=_weights_identity(config),
        encoder=encoder,
    )


def _cache_file(folder: Path, split: str) -> Path:
    return folder / f"inputs-{split}.npy"


def _weights_identity(config: TrainingConfig) -> str:
    if config.fit.weights == "random":
        return f"random:{config.fit.seed}"
    return WeightsSource.parse(config.fit.weights).identity
