"""Encoder inputs of one split as a `.npy` file that every process maps: films preprocessed once, or features.

inputs-train.npy    films uint8 [N, height, width], or features float32 [N, F]
inputs-train.json   of films only: what it was made from, the image ids in order, and films that can't be read
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.atomic import write_atomically, writing
from cxrscribe_train.corpus.films import DamagedFilm, read_films
from cxrscribe_train.feature_file import FeatureFile


@dataclass(frozen=True)
class CachedInputs:
    """A cache file, the images in it, in order, and those that could not be read."""

    path: Path
    image_ids: tuple[str, ...]
    damaged: tuple[DamagedFilm, ...] = ()

    def digest(self) -> str:
        """sha256 of the films or features: two trainings on the same ones share it, wherever they lie."""
        array = np.load(self.path, mmap_mode="r")[: len(self.image_ids)]
        return hashlib.sha256(array.data).hexdigest()


def cache_films(
    films: Sequence[tuple[str, Path]],
    preprocessing: Preprocessing,
    path: Path,
    advance: Callable[[int], None] = lambda films: None,
    stop: Callable[[], bool] = lambda: False,
) -> CachedInputs | None:
    """Preprocess films into `path`, or take what an earlier run made of the same files.

    Args:
        films: image ids and files.
        preprocessing: brings each film to uint8 [height, width].
        path: the `.npy` file.
        advance: called with the number of films done.
        stop: asked after each film.

    Returns:
        None when `stop` was true before the last film: another call goes on from there.

    Raises:
        InputError: not one film can be read, or the file can't be written.
    """
    signature = _signature(films, preprocessing)
    shape = (len(films), preprocessing.height, preprocessing.width)
    begun = _read_index(path, signature, shape)
    array = _new_films(path, shape) if begun is None else np.lib.format.open_memmap(path, mode="r+")
    image_ids = [] if begun is None else list(begun.image_ids)
    damaged = [] if begun is None else list(begun.damaged)
    advance(len(image_ids) + len(damaged))
    with closing(read_films(films[len(image_ids) + len(damaged) :], preprocessing)) as read:
        for image_id, film in read:
            if isinstance(film, DamagedFilm):
                damaged.append(film)
            else:
                array[len(image_ids)] = film
                image_ids.append(image_id)
            advance(1)
            if stop():
                break
    whole = len(image_ids) + len(damaged) == len(films)
    if whole and not image_ids:
        raise InputError(f"none of {len(films)} films can be read; the first one is {damaged[0]}")
    array.flush()
    made = CachedInputs(path, tuple(image_ids), tuple(damaged))
    _write_index(made, signature)
    return made if whole else None


def cache_features(features: FeatureFile, image_ids: Sequence[str], path: Path) -> CachedInputs:
    """Put the features of these images into `path`; images without features are left out.

    Raises InputError when none has features, or the file can't be written.
    """
    known = set(features.image_ids)
    kept = tuple(image_id for image_id in image_ids if image_id in known)
    if not kept:
        raise InputError(
            f"{features.path} holds none of this corpus's images; run `cxrscribe features` on this corpus"
        )
    with writing(path):
        np.save(path, features.rows_of(kept))
    return CachedInputs(path, kept)


def _new_films(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A mapped `.npy` file of black films, uint8 `shape`, without the index of what was there before."""
    with writing(path):
        _index(path).unlink(missing_ok=True)
        return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


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


def _read_index(path: Path, signature: str, shape: tuple[int, ...]) -> CachedInputs | None:
    """What a cache of the same files holds so far; None where there is none, or a damaged one."""
    try:
        index = json.loads(_index(path).read_text(encoding="utf-8"))
        array = np.load(path, mmap_mode="r")
        if (index["signature"], array.shape, array.dtype) != (signature, shape, np.uint8):
            return None
        damaged = tuple(DamagedFilm(**film) for film in index["damaged"])
        return CachedInputs(path, tuple(index["image_ids"]), damaged)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        return None
