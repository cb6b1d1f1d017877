"""Encoder inputs of one split as a `.npy` file that every process maps: films preprocessed once, or features.

inputs-train.npy    films uint8 [N, height, width], or features float32 [N, F]
inputs-train.json   what it was made from, the image ids in order, and the films that can't be read
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cxrscribe.errors import InputError
from cxrscribe.preprocess import Preprocessing
from cxrscribe_train.atomic import write_atomically
from cxrscribe_train.feature_file import FeatureFile
from cxrscribe_train.films import DamagedFilm, read_films


@dataclass(frozen=True)
class CachedInputs:
    """A cache file, the images in it, in order, and those that could not be read."""

    path: Path
    image_ids: tuple[str, ...]
    damaged: tuple[DamagedFilm, ...] = ()


def cache_films(
    films: Sequence[tuple[str, Path]],
    preprocessing: Preprocessing,
    path: Path,
    advance: Callable[[int], None] = lambda films: None,
) -> CachedInputs:
    """Preprocess films into `path`, or take what an earlier run made of the same files.

    Args:
        films: image ids and files.
        preprocessing: brings each film to uint8 [height, width].
        path: the `.npy` file.
        advance: called with the number of films done.

    Raises:
        InputError: not one film can be read.
    """
    signature = _signature(films, preprocessing)
    made = _read_index(path, signature)
    if made is not None:
        advance(len(films))
        return made
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(films), preprocessing.height, preprocessing.width)
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    image_ids: list[str] = []
    damaged: list[DamagedFilm] = []
    for image_id, film in read_films(films, preprocessing):
        if isinstance(film, DamagedFilm):
            damaged.append(film)
        else:
            array[len(image_ids)] = film
            image_ids.append(image_id)
        advance(1)
    array.flush()
    if not image_ids:
        raise InputError(f"none of {len(films)} films can be read; the first one is {damaged[0]}")
    made = CachedInputs(path, tuple(image_ids), tuple(damaged))
    _write_index(made, signature)
    return made


def cache_features(features: FeatureFile, image_ids: Sequence[str], path: Path) -> CachedInputs:
    """Put the features of these images into `path`; images without features are left out."""
    known = set(features.image_ids)
    kept = tuple(image_id for image_id in image_ids if image_id in known)
    if not kept:
        raise InputError(
            f"{features.path} holds none of this corpus's images; run `cxrscribe features` on this corpus"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, features.rows_of(kept))
    return CachedInputs(path, kept)


def _signature(films: Sequence[tuple[str, Path]], preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256(json.dumps(preprocessing.to_json(), sort_keys=True).encode())
    for image_id, path in films:
        status = path.stat() if path.is_file() else None
        content = (status.st_size, status.st_mtime_ns) if status else ()
        digest.update(json.dumps([image_id, str(path), content]).encode())
    return digest.hexdigest()


def _index(path: Path) -> Path:
    return path.with_suffix(".json")


def _write_index(made: CachedInputs, signature: str) -> None:
    index = {
        "signature": signature,
        "image_ids": made.image_ids,
        "damaged": [asdict(film) for film in made.damaged],
    }
    write_atomically(_index(made.path), json.dumps(index).encode())


def _read_index(path: Path, signature: str) -> CachedInputs | None:
    """What a whole cache made from the same files holds; None where there is none."""
    if not (path.is_file() and _index(path).is_file()):
        return None
    index = json.loads(_index(path).read_text(encoding="utf-8"))
    if index["signature"] != signature:
        return None
    damaged = tuple(DamagedFilm(**film) for film in index["damaged"])
    return CachedInputs(path, tuple(index["image_ids"]), damaged)
