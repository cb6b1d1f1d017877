"""A study: the films of one examination, which get one report together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, Union

import numpy as np
from numpy.typing import NDArray

from cxrscribe.arguments import several
from cxrscribe.errors import InputError
from cxrscribe.films.film import film_name

if TYPE_CHECKING:
    from cxrscribe.films.film import FilmSource

MOST_FILMS: Final = 64
"""Of a study. One of the chest has two, as a rule; a folder of thousands isn't one study."""

Image: TypeAlias = Union["FilmSource", "Study"]
"""What gets one report."""
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The films of one examination, in any order, and what is known of the patient.

    A reporter takes one wherever it takes a film, and writes one report for all of its films: by the mean of
    their features, see `pooled`. A study of one film has that film's report.

    Raises InputError when `films` are none, more than 64, or one in the place of several; or `indication` is
    neither a text nor None.
    """

    films: Sequence[FilmSource]
    """1 to 64; kept as a tuple. Each is what a film may be: a path, bytes, a PIL image or an array."""
    indication: str | None = None
    """What the radiologist is told of the patient, for a model that reads it. No error shows it."""

    def __post_init__(self) -> None:
        given: object = self.films
        if isinstance(given, str | bytes | bytearray | memoryview | os.PathLike):
            raise InputError(f"films of a study is one film ({film_name(given)}); put it in a list")
        if isinstance(given, np.ndarray) and given.ndim < 3 and given.dtype.kind in "biuf":
            raise InputError(f"films of a study is one array {list(given.shape)}; put it in a list")
        several("films of a study", given, "films")
        films = tuple(islice(iter(self.films), MOST_FILMS + 1))
        if not 0 < len(films) <= MOST_FILMS:
            number = f"more than {MOST_FILMS}" if films else "no"
            raise InputError(f"a study has {number} films; give 1 to {MOST_FILMS}, of one examination")
        if any(isinstance(film, Study) for film in films):
            raise InputError("films of a study has a study among them; give its films")
        told: object = self.indication
        if told is not None and not isinstance(told, str):
            kind = type(told).__name__
            raise InputError(f"the indication of a study is of type {kind}; give a text, or None")
        object.__setattr__(self, "films", films)

    def __repr__(self) -> str:
        """The films' names: what is in them, and the indication, is a patient's."""
        return f"Study({', '.join(map(film_name, self.films))})"


def image_name(image: Image) -> str:
    """What errors call a film, or a study by its films."""
    if not isinstance(image, Study):
        return film_name(image)
    first = film_name(image.films[0])
    return first if len(image.films) == 1 else f"study of {len(image.films)} films, {first} first"


def films_of(
    images: Iterable[tuple[Image, Item]],
) -> Iterator[tuple[FilmSource, tuple[Item, bool]]]:
    """Every film of the images, in order, with the item of its image, and whether it is the image's last."""
    for image, item in images:
        films = image.films if isinstance(image, Study) else (image,)
        for left, film in zip(range(len(films) - 1, -1, -1), films, strict=True):
            yield film, (item, left == 0)


def pooled(rows: Sequence[NDArray[np.float32]] | NDArray[np.float32]) -> NDArray[np.float32]:
    """One row float32 [F] for the features of a study's films, `rows` [n, F], n at least 1: their mean.

    Of each feature the n values are sorted and added up from the least on in float64; the sum is divided by
    n and rounded to float32. So the order of the films doesn't change a bit of it, one film's features come
    out as they are, and those of the same film given twice too.

    Raises InputError when there is no row.
    """
    if not len(rows):
        raise InputError("there are no features to pool; give those of one film at least")
    values = np.sort(np.asarray(rows, np.float32), axis=0).astype(np.float64)
    total = values[0]
    for row in values[1:]:  # one after the other: numpy's sum may add in another order
        total = total + row
    mean: NDArray[np.float32] = (total / len(values)).astype(np.float32)
    return mean
