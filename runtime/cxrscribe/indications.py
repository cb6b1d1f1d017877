"""What a reporter's calls take as indications, made into the numbers that a search starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.arguments import several
from cxrscribe.errors import SettingsError

if TYPE_CHECKING:
    from cxrscribe.patient_text import PatientText

Numbers: TypeAlias = NDArray[np.float32]
_GIVEN: Final = "given"
Indication: TypeAlias = str | None
"""What the radiologist is told of one patient; None where nothing is."""


@dataclass(frozen=True)
class Indications:
    """Turns the texts of a call into numbers. No error says what a text holds: it is a patient's."""

    text: PatientText | None
    """How; None for a model that reads none, which refuses any."""
    from_dicom: str | None = None
    """Which attribute of a DICOM film says it where a call says nothing; None for none."""

    @property
    def size(self) -> int:
        """P; 0 for a model that reads no text."""
        return 0 if self.text is None else self.text.size

    def of_each(self, indications: Sequence[Indication] | None, images: int) -> Numbers:
        """float32 [images, P]: the numbers of each image's text.

        Raises SettingsError when they are of another number, one is no text, or the model reads none.
        """
        if indications is None:
            return np.tile(self.encode(None), (images, 1))
        rows = [self.encode(text) for text in self.texts_of_each(indications, images)]
        return np.stack(rows) if rows else np.zeros((0, self.size), np.float32)

    def texts_of_each(self, indications: Sequence[Indication] | None, images: int) -> list[Indication]:
        """Each image's text, None for none. Raises as `of_each` does."""
        if indications is None:
            return [None] * images
        self._check(indications)
        each = list(islice(indications, images + 1))  # they may be endless
        if len(each) != images:
            number = len(indications) if isinstance(indications, Sized) else "more or fewer"
            raise SettingsError(f"{number} indications for {images} images; give one an image, None for none")
        return [_text(one, place) for place, one in enumerate(each)]

    def of_stream(self, indications: Iterable[Indication] | None) -> Iterator[Numbers]:
        """float32 [P] for each image of a stream.

        Raises SettingsError as `of_each`, later where they run out before the images or one is no text.
        """
        return map(self.encode, self.texts_of_stream(indications))

    def texts_of_stream(self, indications: Iterable[Indication] | None) -> Iterator[Indication]:
        """The text of each image of a stream, None for none. Raises as `of_stream` does."""
        if indications is None:
            return repeat(None)
        self._check(indications)
        return self._each(indications)

    def encode(self, text: Indication) -> Numbers:
        """float32 [P]: the numbers of one image's text; zeros for None."""
        return np.zeros(self.size, np.float32) if self.text is None else self.text.encode(text)

    def tell(self, given: Indication, found: Indication) -> tuple[Numbers, str | None]:
        """What a search is told of an image's patient, float32 [P], and where that is from.

        `given`: what the call says; where it says nothing, `found` counts, what the image's films say. From
        `given`, `dicom:ATTRIBUTE`, or None where it is nothing.
        """
        text, source = (given, _GIVEN) if given is not None else (found, f"dicom:{self.from_dicom}")
        return self.encode(text), source if text and not text.isspace() else None

    def check_read(self, what: str) -> None:
        """Raise SettingsError where the model reads no text; `what` is said to have been given."""
        if self.text is None:
            raise SettingsError(
                f"{what}, but this bundle's model reads none: it sees the film alone; leave the indication "
                "out, or take a bundle whose model was trained with a context"
            )

    def _each(self, indications: Iterable[Indication]) -> Iterator[Indication]:
        for place, one in enumerate(indications):
            yield _text(one, place)
        raise SettingsError("there are fewer indications than images; give one an image, None for none")

    def _check(self, indications: Iterable[Indication]) -> None:
        if isinstance(indications, str):  # whose letters would pass for texts, and which no error may show
            raise SettingsError("indications is one text; give a list, one text an image")
        several("indications", indications, "texts, one an image", SettingsError)
        self.check_read("an indication is given")


def _text(indication: object, place: int) -> Indication:
    if indication is not None and not isinstance(indication, str):
        kind = type(indication).__name__
        raise SettingsError(f"the indication of image {place} is of type {kind}; give a text, or None")
    return indication
