"""Images that arrive at a search: where their features and settings come from, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscribe.arguments import several
from cxrscribe.errors import FilmError, InputError
from cxrscribe.search.constraints import banned_ids
from cxrscribe.settings import BeamSettings, settings_of_stream
from cxrscribe.vocabulary import Vocabulary


@dataclass(frozen=True)
class Requests:
    """Some images, in order; maybe none, where none is there yet."""

    features: NDArray[np.float32]
    """[n, F], finite; for a model with a context [n, F + P], as `StepModel.initial_state` takes them."""
    settings: Sequence[BeamSettings]
    """n, words all known."""
    errors: Sequence[FilmError | None]
    """One for each film that arrived: why it has no features; None for the n that have."""


class RequestSource(Protocol):
    """Gives images until there are no more."""

    def fetch(self, idle: bool) -> Requests | None:
        """The next images, None at the end. Waits for at least one where `idle`, and else need not.

        Raises what is wrong with the next image, or what the images' origin raised, after all images before.
        """


class FeatureMatrix:
    """A RequestSource of all rows of a matrix that `feature_matrix` checked."""

    def __init__(
        self,
        features: NDArray[np.float32],
        settings: Sequence[BeamSettings],
        vocabulary: Vocabulary,
        size: int,
    ) -> None:
        """At most `size` rows at a time. Raises SettingsError for a banned word that doesn't exist."""
        for each in dict.fromkeys(settings):
            banned_ids(each, vocabulary)
        self._features = features
        self._settings = list(settings)
        self._size = size
        self._start = 0

    def fetch(self, idle: bool) -> Requests | None:
        part = slice(self._start, self._start + self._size)
        self._start += self._size
        features = self._features[part]
        return Requests(features, self._settings[part], [None] * len(features)) if len(features) else None


class FeatureRows:
    """A RequestSource of the rows that any iterable gives."""

    def __init__(
        self,
        features: Iterable[ArrayLike],
        settings: BeamSettings | Iterable[BeamSettings],
        vocabulary: Vocabulary,
        size: int,
        feature_size: int | None = None,
        patients: Iterator[NDArray[np.float32]] | None = None,
    ) -> None:
        """At most `size` rows float32 [F] at a time; `feature_size`: F, None for that of the first row.

        `patients`: for a model with a context, what is known of each patient, float32 [P].

        Raises InputError, SettingsError when these are no rows or no settings.
        """
        several("features", features, "rows float32 [F]")
        known = repeat(np.zeros(0, np.float32)) if patients is None else patients
        self._images = zip(features, settings_of_stream(settings), known, strict=False)
        self._vocabulary = vocabulary
        self._size = size
        self._feature_size = feature_size
        self._given = 0
        self._failure: Exception | None = None

    def fetch(self, idle: bool) -> Requests | None:
        rows: list[NDArray[np.float32]] = []
        settings: list[BeamSettings] = []
        try:
            for row, each in self._next():
                rows.append(row)
                settings.append(each)
        except Exception as error:  # of the rows' origin, too: whatever it is, it comes when its turn does
            self._failure = error
        if rows:
            return Requests(np.stack(rows), settings, [None] * len(rows))
        if self._failure is not None:
            raise self._failure
        return None

    def _next(self) -> Iterator[tuple[NDArray[np.float32], BeamSettings]]:
        if self._failure is not None:
            return
        for row, each, patient in islice(self._images, self._size):
            banned_ids(each, self._vocabulary)
            (features,) = feature_matrix(cast(ArrayLike, [row]), self._feature_size, first=self._given)
            self._feature_size = len(features)
            self._given += 1
            yield np.concatenate((features, patient)), each


def feature_matrix(
    features: ArrayLike, feature_size: int | None = None, first: int = 0
) -> NDArray[np.float32]:
    """Features as float32 [N, F], F being `feature_size` if that is given.

    Raises InputError when they are of another shape, or not finite; its message counts rows from `first`.
    """
    try:
        given = np.asarray(features)
        if given.size and given.dtype.kind not in "fiu":
            raise TypeError
        with np.errstate(over="ignore"):  # what float32 can't hold isn't finite, and that is looked at below
            matrix = given.astype(np.float32, copy=False)
    except (TypeError, ValueError, OverflowError):
        raise InputError("features are not rows of numbers, all of one length; give float32 [N, F]") from None
    if matrix.ndim != 2:
        raise InputError(f"features have the shape {list(matrix.shape)}; give float32 [N, F], one row a film")
    if feature_size is not None and matrix.shape[1] != feature_size:
        raise InputError(
            f"features of row {first} have {matrix.shape[1]} numbers, not {feature_size}; make all of them "
            "with this bundle's encoder"
        )
    wrong = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(wrong):
        raise InputError(f"features of row {first + wrong[0]} are not finite; make them again")
    return matrix
