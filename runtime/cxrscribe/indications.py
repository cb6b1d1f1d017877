"""What a reporter's calls take as indications, made into the numbers that a search starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cxrscribe.arguments import several
from cxrscribe.errors import SettingsError

if TYPE_CHECKING:
    from cxrscribe.patient_text import PatientText

Numbers: TypeAlias = NDArray[np.float32]
Indication: TypeAlias = str | None
"""What the radiologist is told of one patient; None where nothing is."""


@dataclass(frozen=True)
class Indications:
    """Turns the texts of a call into numbers. No error says what a text holds: it is a patient's."""

    text: PatientText | None
    """How; None for a model that reads none, which refuses any."""

    @property
    def size(self) -> int:
        """P; 0 for a model that reads no text."""
        return 0 if self.text is None else self.text.size

    def of_each(self, indications: Sequence[Indication] | None, images: int) -> Numbers:
        """float32 [images, P]: the numbers of each image's text.

        Raises SettingsError when they are of another number, one is no text, or the model reads none.
        """
        if indications is None:
            return np.zeros((images, self.size), np.float32)
        self._check(indications)
        each = list(islice(indications, images + 1))  # they may be endless
        if len(each) != images:
            number = len(indications) if isinstance(indications, Sized) else "more or fewer"
            raise SettingsError(f"{number} indications for {images} images; give one an image, None for none")
        rows = [self._encode(one, place) for place, one in enumerate(each)]
        return np.stack(rows) if rows else np.zeros((0, self.size), np.float32)

    def of_stream(self, indications: Iterable[Indication] | None) -> Iterator[Numbers]:
        """float32 [P] for each image of a stream.

        Raises SettingsError as `of_each`, later where they run out before the images or one is no text.
        """
        if indications is None:
            return repeat(np.zeros(self.size, np.float32))
        self._check(indications)
        return self._each(indications)

    def _each(self, indications: Iterable[Indication]) -> Iterator[Numbers]:
        for place, one in enumerate(indications):
            yield self._encode(one, place)
        raise SettingsError("there are fewer indications than images; give one an image, None for none")

    def _check(self, indications: Iterable[Indication]) -> None:
        if isinstance(indications, str):  # whose letters would pass for texts, and which no error may show
            raise SettingsError("indications is one text; give a list, one text an image")
        several("indications", indications, "texts, one an image", SettingsError)
        if self.text is None:
            raise SettingsError(
                "an indication is given, but this bundle's model reads none: it sees the film alone; leave "
                "the indication out, or take a bundle whose model was trained with a context"
            )

    def _encode(self, indication: Indication, place: int) -> Numbers:
        given: object = indication
        if given is not None and not isinstance(given, str):
            kind = type(given).__name__
            raise SettingsError(f"the indication of image {place} is of type {kind}; give a text, or None")
        assert self.text is not None
        return self.text.encode(indication)
