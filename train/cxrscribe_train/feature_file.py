"""`features.h5`: what a backbone gave for every film, and which backbone that was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.files import sha256_of
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.json_object import JsonObject

WEIGHTS_SUFFIX: Final = ".encoder.safetensors"
_CHUNK_ROWS: Final = 64
_ATTRIBUTES: Final = (
    "backbone",
    "backbone_options",
    "weights",
    "weights_sha256",
    "preprocessing",
    "complete",
)


@dataclass(frozen=True)
class EncoderIdentity:
    """What has to be equal for two feature vectors to be comparable.

    `weights` says where the weights came from (`random:7`, `imagenet`, `file:<sha256>`); `weights_sha256`
    is that of the safetensors file beside the features.
    """

    backbone: str
    backbone_options: Mapping[str, int | float | str]
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing

    def difference(self, other: EncoderIdentity) -> str:
        """The first thing in which two encoders differ, or an empty string."""
        pairs = (
            ("backbone", self.backbone, other.backbone),
            ("backbone_options", dict(self.backbone_options), dict(other.backbone_options)),
            ("preprocessing", self.preprocessing.to_json(), other.preprocessing.to_json()),
            ("weights", self.weights, other.weights),
            ("weights_sha256", self.weights_sha256, other.weights_sha256),
        )
        return next((f"{name} is {mine}, not {theirs}" for name, mine, theirs in pairs if mine != theirs), "")


@dataclass(frozen=True)
class FeatureFile:
    """The content of one features file.

    Attributes:
        features: float32 [N, F].
        image_ids: N image ids, in the same order.
    """

    path: Path
    encoder: EncoderIdentity
    image_ids: tuple[str, ...]
    features: NDArray[np.float32]
    complete: bool

    @classmethod
    def open(cls, path: Path) -> FeatureFile:
        """Read a file whole. Raises InputError when it is missing or not written by `cxrscribe features`."""
        with _opened(path, "r") as file:
            image_ids = _whole_rows(file)
            return cls(
                path=path,
                encoder=_identity(file, path),
                image_ids=image_ids,
                features=file["features"][: len(image_ids)],
                complete=bool(file.attrs["complete"]),
            )

    @property
    def encoder_weights(self) -> Path:
        """The safetensors file with the backbone's weights, beside the features."""
        return weights_path(self.path)

    @property
    def feature_size(self) -> int:
        """F."""
        return int(self.features.shape[1])

    def check_encoder(self, weights_sha256: str, preprocessing: Preprocessing) -> None:
        """Raise InputError unless the encoder with these weights and preprocessing made these features."""
        mine = self.encoder
        if mine.weights_sha256 != weights_sha256:
            raise InputError(
                f"{self.path} was made by another encoder (weights sha256 {mine.weights_sha256[:12]}, wanted "
                f"{weights_sha256[:12]}); make it again: cxrscribe features --weights RUN/encoder.safetensors"
            )
        if mine.preprocessing != preprocessing:
            raise InputError(
                f"{self.path} was made with preprocessing {mine.preprocessing.to_json()}, not with "
                f"{preprocessing.to_json()}; make it again as the run says, with this version of cxrscribe"
            )

    def check_usable(self) -> None:
        """Raise InputError when the file isn't finished, or a feature in it is no finite number."""
        if not self.complete:
            raise InputError(f"{self.path} is not complete; run the same `cxrscribe features` command again")
        wrong = not_finite(self.image_ids, self.features)
        if wrong:
            raise InputError(
                f"{self.path} has features that are not finite, of {len(wrong)} images, such as {wrong[0]}; "
                "delete it and make it again, with other --weights if that doesn't help"
            )

    def check_weights(self) -> None:
        """Raise InputError unless the weights of the encoder that made these features lie beside the file."""
        if not self.encoder_weights.is_file():
            raise InputError(f"{self.encoder_weights} is missing; keep it beside {self.path.name}")
        if sha256_of(self.encoder_weights) != self.encoder.weights_sha256:
            raise InputError(
                f"{self.encoder_weights} is not the encoder that made {self.path.name}; "
                "make the features again"
            )

    def rows_of(self, image_ids: Iterable[str]) -> NDArray[np.float32]:
        """Features float32 [n, F] of these images. Raises InputError when one is not in the file."""
        place = {image_id: row for row, image_id in enumerate(self.image_ids)}
        wanted = list(image_ids)
        missing = [image_id for image_id in wanted if image_id not in place]
        if missing:
            raise InputError(
                f"{self.path} has no features of {len(missing)} images, such as {missing[0]}; "
                "run `cxrscribe features` on this corpus"
            )
        return self.features[[place[image_id] for image_id in wanted]]


class FeatureWriter:
    """Appends features to a file, so that what was written survives an interruption. A context manager."""

    def __init__(self, path: Path, encoder: EncoderIdentity, feature_size: int) -> None:
        """Create the file, or open the one that an earlier run left.

        Raises:
            InputError: the file there was made by another encoder or with other preprocessing.
        """
        self._path = path
        if path.exists():
            self._file = _opened(path, "r+")
            difference = _identity(self._file, path).difference(encoder)
            if difference:
                self._file.close()
                raise InputError(
                    f"{path} was begun by another encoder: {difference}; "
                    "give the same options or another --out"
                )
            self.image_ids = list(_whole_rows(self._file))
            for name in ("features", "image_ids"):
                self._file[name].resize(len(self.image_ids), axis=0)
        else:
            self._file = _created(path, encoder, feature_size)
            self.image_ids = []
        self._file.attrs["complete"] = False

    def append(self, image_ids: Sequence[str], features: NDArray[np.float32]) -> None:
        """Add rows and write them to disk. `features`: float32 [n, F]."""
        start, stop = len(self.image_ids), len(self.image_ids) + len(image_ids)
        for name, values in (("features", features), ("image_ids", list(image_ids))):
            self._file[name].resize(stop, axis=0)
            self._file[name][start:stop] = values
        self._file.flush()
        self.image_ids += image_ids

    def finish(self) -> None:
        """Mark the file complete."""
        self._file.attrs["complete"] = True
        self._file.flush()

    def __enter__(self) -> FeatureWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def not_finite(image_ids: Sequence[str], features: NDArray[np.float32]) -> list[str]:
    """The images whose row of `features`, float32 [N, F], holds NaN or an infinite value."""
    return [image_id for image_id, row in zip(image_ids, features, strict=True) if not np.isfinite(row).all()]


def weights_path(features: Path) -> Path:
    """Where the weights of `DIR/name.h5` lie: `DIR/name.encoder.safetensors`."""
    return features.with_name(features.stem + WEIGHTS_SUFFIX)


def begun_weights(path: Path) -> str | None:
    """Where a begun file's weights came from, as `EncoderIdentity.weights`; None when there is no file."""
    if not path.exists():
        return None
    with _opened(path, "r") as file:
        return _identity(file, path).weights


def _created(path: Path, encoder: EncoderIdentity, feature_size: int) -> h5py.File:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = h5py.File(path, "w")
    shape, chunks = (0, feature_size), (_CHUNK_ROWS, feature_size)
    file.create_dataset("features", shape, np.float32, maxshape=(None, feature_size), chunks=chunks)
    file.create_dataset("image_ids", (0,), h5py.string_dtype(), maxshape=(None,), chunks=(_CHUNK_ROWS,))
    file.attrs["backbone"] = encoder.backbone
    file.attrs["backbone_options"] = json.dumps(dict(encoder.backbone_options), sort_keys=True)
    file.attrs["weights"] = encoder.weights
    file.attrs["weights_sha256"] = encoder.weights_sha256
    file.attrs["preprocessing"] = json.dumps(encoder.preprocessing.to_json(), sort_keys=True)
    return file


def _opened(path: Path, mode: str) -> h5py.File:
    try:
        file = h5py.File(path, mode)
    except FileNotFoundError:
        raise InputError(f"no features file at {path}; make it with `cxrscribe features`") from None
    except OSError as error:
        raise InputError(f"{path} can't be read as HDF5 ({error}); delete it and make it again") from error
    lacking = [name for name in ("features", "image_ids") if name not in file]
    lacking += [name for name in _ATTRIBUTES if name not in file.attrs]
    if lacking:
        file.close()
        raise InputError(f"{path} lacks {', '.join(lacking)}; make it with `cxrscribe features`")
    return file


def _identity(file: h5py.File, path: Path) -> EncoderIdentity:
    attributes: Mapping[str, Any] = file.attrs
    try:
        return EncoderIdentity(
            backbone=str(attributes["backbone"]),
            backbone_options=json.loads(attributes["backbone_options"]),
            weights=str(attributes["weights"]),
            weights_sha256=str(attributes["weights_sha256"]),
            preprocessing=Preprocessing.from_json(
                JsonObject(json.loads(attributes["preprocessing"]), f"{path}: preprocessing")
            ),
        )
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: an attribute is no JSON ({error}); make the file again") from error


def _whole_rows(file: h5py.File) -> tuple[str, ...]:
    """Image ids of the rows that are whole.

    An interrupted run may have written one dataset without the other, or made room for ids and not written
    them: those are empty, at the end.
    """
    rows = min(file["features"].shape[0], file["image_ids"].shape[0])
    image_ids = list(file["image_ids"].asstr()[:rows])
    while image_ids and not image_ids[-1]:
        image_ids.pop()
    return tuple(image_ids)
