"""What a run works on, made ready in its folder: films, and their features in an h5 file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.contract import ENCODER
from cxrscribe.bundle.files import sha256_of
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.cli.films import FilmArguments
from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_bench.material.drawn_films import write_drawn_films
from cxrscribe_train.feature_file import EncoderIdentity, FeatureFile, FeatureWriter


def film_files(
    given: Sequence[str], count: int, folder: Path, preprocessing: Preprocessing
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The first `count` readable films of those given, or drawn ones; and those that can't be read, and why.

    Raises InputError when none of those given can be read.
    """
    if not given:
        return write_drawn_films(count, folder), ()
    arguments = FilmArguments(given, ())
    films: list[Path] = []
    unread: list[str] = []
    for path in arguments:
        if len(films) == count:
            break
        try:
            preprocessing.read(path)
        except FilmError as error:
            unread.append(str(error))
        else:
            films.append(Path(path))
    unread += [str(error) for error in arguments.unmatched.values()]
    if not films:
        raise InputError(f"none of the films can be read, the first one is {unread[0]}")
    return tuple(films), tuple(unread)


def write_features(bundle: Path, films: Sequence[Path], path: Path, threads: int) -> NDArray[np.float32]:
    """Encode the films in fp32 on the CPU into an h5 file as `cxrscribe features` writes it; [N, F]."""
    with cxrscribe.load(bundle, device="cpu", threads=threads) as reporter:
        features = reporter.encode(list(films))
        manifest = reporter.manifest
    path.unlink(missing_ok=True)
    with FeatureWriter(path, _encoder_of(bundle, manifest), features.shape[1]) as writer:
        writer.append([film.stem for film in films], features)
        writer.finish()
    return features


def check_features(path: Path, manifest: Manifest) -> int:
    """Number of rows of a features file. Raises InputError unless they are finite and fit the bundle."""
    file = FeatureFile.open(path)
    file.check_usable()
    if file.feature_size != manifest.architecture.feature_size:
        raise InputError(
            f"{path} has rows of {file.feature_size} features, the bundle takes "
            f"{manifest.architecture.feature_size}; give the file of its encoder"
        )
    return len(file.image_ids)


def _encoder_of(bundle: Path, manifest: Manifest) -> EncoderIdentity:
    digest = sha256_of(bundle / ENCODER)
    return EncoderIdentity(
        backbone=manifest.architecture.backbone,
        backbone_options=manifest.architecture.backbone_options,
        weights=f"file:{digest}",
        weights_sha256=digest,
        preprocessing=manifest.preprocessing,
    )
