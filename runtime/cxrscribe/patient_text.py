"""What a radiologist was told of a patient, an INDICATION, as numbers: words and pairs, projected.

Bundles of models with a context hold it as `patient_text.json`; `cxrscribe_train.context` fits it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.cleaning import CLEANING, COMMAS, DEIDENTIFIED, clean
from cxrscribe.errors import BundleError
from cxrscribe.json_object import ErrorKind, JsonObject, read_json_object, repeated
from cxrscribe.vocabulary import SENTENCE_END

FORMAT: Final = 1
MOST_CHARACTERS: Final = 100_000
"""Longest text that is read; longer ones are cut."""
_MOST_BYTES: Final = 32 << 20  # 10,000 terms of 256 numbers take 30
_MOST_TERMS: Final = 100_000
_MARKS: Final = COMMAS | {SENTENCE_END, DEIDENTIFIED}

Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class PatientText:
    """M terms, words and pairs of neighbours, each with a weight and P numbers.

    A text's weights are brought to length 1 and meet the projection. Raises BundleError where the parts
    contradict each other.
    """

    terms: tuple[str, ...]
    """`chest`, `chest pain`."""
    weights: Numbers
    """[M]: the rarer, the larger (inverse document frequency)."""
    projection: Numbers
    """[M, P]"""
    cleaning: int = CLEANING
    """Version of the rules that make words of a text."""

    def __post_init__(self) -> None:
        twice = repeated(self.terms)
        if twice is not None:
            raise BundleError(f"the patient's text has the term {twice!r} twice; export the bundle again")
        terms = len(self.terms)
        if not 1 <= terms <= _MOST_TERMS:
            raise BundleError(f"the patient's text has {terms} terms; it has to be from 1 to {_MOST_TERMS}")
        shapes = (self.weights.shape, self.projection.shape[:1])
        if shapes != ((terms,), (terms,)) or self.projection.ndim != 2 or not self.projection.shape[1]:
            raise BundleError(
                f"the patient's text has {terms} terms, weights {list(self.weights.shape)} and a projection "
                f"{list(self.projection.shape)}, which don't fit; export the bundle again"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.projection).all()):
            raise BundleError("the patient's text has numbers that aren't finite; export the bundle again")
        if self.cleaning not in (1, CLEANING):
            raise BundleError(f"the patient's text has the cleaning {self.cleaning}, not 1 or {CLEANING}")
        object.__setattr__(self, "_places", {term: place for place, term in enumerate(self.terms)})

    @property
    def size(self) -> int:
        """P."""
        return int(self.projection.shape[1])

    def encode(self, text: str | None) -> Numbers:
        """The numbers of a text, float32 [P]: zeros for None, and for a text without a word that is known.

        A text's numbers depend on nothing but the text.
        """
        if text is None:
            return np.zeros(self.size, np.float32)
        known: dict[str, int] = getattr(self, "_places")  # noqa: B009 (a frozen dataclass has no field of it)
        terms = terms_of(text, self.cleaning)
        places = sorted({known[term] for term in terms if term in known})
        if not places:
            return np.zeros(self.size, np.float32)
        weights = unit(self.weights[places])
        # Sums of products and no matrix product, which may round otherwise from one call to the next.
        numbers: Numbers = (weights[:, np.newaxis] * self.projection[places].astype(np.float64)).sum(axis=0)
        return numbers.astype(np.float32)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values, from which the same float32 numbers come back."""
        return {
            "format": FORMAT,
            "cleaning": self.cleaning,
            "terms": list(self.terms),
            "weights": _shortest(self.weights),
            "projection": [_shortest(row) for row in self.projection],
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> PatientText:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        if fields.value("format") != FORMAT:
            fields.refuse("format", f"{FORMAT}, the only one that this version of cxrscribe reads")
        rows = fields.array("projection")
        if len({len(row) if isinstance(row, list) else -1 for row in rows}) > 1:
            fields.refuse("projection", "an array of arrays of one length")
        numbers = JsonObject({str(place): row for place, row in enumerate(rows)}, fields.place, BundleError)
        return fields.make(
            cls,
            terms=fields.texts("terms"),
            weights=np.array(fields.numbers("weights"), np.float32),
            projection=np.array([numbers.numbers(str(place)) for place in range(len(rows))], np.float32),
            cleaning=fields.integer("cleaning", 1),
        )

    @classmethod
    def read(cls, path: Path, *, error: ErrorKind = BundleError) -> PatientText:
        """Read the file that `write` wrote. Raises `error` naming what is wrong in it."""
        remedy = "restore it, or export or train again"
        fields = read_json_object(path, _MOST_BYTES, error=error, remedy=remedy)
        return cls.from_json(fields)

    def write(self, path: Path) -> None:
        """Write it as one JSON document."""
        path.write_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The document that `write` writes."""
        return (json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False) + "\n").encode()


def terms_of(text: str, cleaning: int = CLEANING) -> list[str]:
    """The words of a text and the pairs of neighbours within a sentence, in order.

    Neither marks nor what was taken out to protect the patient is among them.
    """
    words = clean(text[:MOST_CHARACTERS], cleaning)
    terms: list[str] = []
    for is_mark, run in groupby(words, key=lambda word: word in _MARKS):
        if not is_mark:
            part = list(run)
            terms += [*part, *(f"{one} {other}" for one, other in pairwise(part))]
    return terms


def unit(weights: Iterable[float] | Numbers) -> NDArray[np.float64]:
    """The same direction with length 1, float64; a vector of zeros stays one."""
    values = np.asarray(weights, np.float64)
    length = float(np.sqrt((values * values).sum()))
    return values / length if length else values


def _shortest(numbers: Sequence[np.float32] | Numbers) -> list[float]:
    """float32 numbers as the shortest decimals that they can be told by."""
    return [float(str(number)) for number in np.asarray(numbers, np.float32)]
