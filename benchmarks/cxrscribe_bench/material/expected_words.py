"""What has to be written in a run, from films and from features, at each precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

import cxrscribe
from cxrscribe.bundle.files import FP32
from cxrscribe.bundle.precision_pair import PrecisionPair
from cxrscribe.sessions.device import CPU, OPENVINO
from cxrscribe_bench.groups import FEATURES, FILMS
from cxrscribe_bench.material.reference_words import ReferenceWords, differing
from cxrscribe_bench.results.record import TokenCheck
from cxrscribe_bench.systems.system import Words
from cxrscribe_bench.workload import Workload

_SHOWN: Final = 5
"""Differences that are put into words."""


class ExpectedWords:
    """The reference's reports on a workload: searched for when they are first needed, and once."""

    def __init__(self, workload: Workload, *, are_of_films: bool) -> None:
        """`are_of_films`: whether the rows of features are those of the films, encoded in fp32."""
        self._workload = workload
        self._are_of_films = are_of_films
        self._features: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._words: dict[tuple[str, str], list[Words]] = {}
        self._references: dict[str, ReferenceWords] = {}

    def words(self, source: str, precision: str) -> list[Words]:
        """The best report of each film, or each row of features."""
        key = self._key(source, precision)
        if key not in self._words:
            reference = self._reference(precision)
            self._words[key] = reference.words(self._searched(source, precision))
        return self._words[key]

    def check(
        self, system: str, source: str, precision: str, found: Mapping[int, Words], *, is_required: bool
    ) -> TokenCheck:
        """Hold the reports `found`, by their places in the workload, against the reference's."""
        expected = self.words(source, precision)
        places = sorted(found)
        indices = differing([expected[place] for place in places], [found[place] for place in places])
        others = [places[index] for index in indices]
        reference, features = self._reference(precision), self._searched(source, precision)
        return TokenCheck(
            system=system,
            source=source,
            precision=precision,
            reference=reference.name,
            reports=len(places),
            identical=len(places) - len(others),
            near_ties=sum(reference.is_near_tie(features[place], found[place]) for place in others),
            is_required=is_required,
            differences=tuple(_difference(place, expected[place], found[place]) for place in others[:_SHOWN]),
        )

    def _reference(self, precision: str) -> ReferenceWords:
        workload = self._workload
        decoder = PrecisionPair.parse(workload.engine(precision)[1]).decoder
        if decoder not in self._references:
            self._references[decoder] = ReferenceWords(workload.bundle, decoder, workload.settings)
        return self._references[decoder]

    def _searched(self, source: str, precision: str) -> NDArray[np.float32]:
        """What the search of a source begins with, float32 [N, F]: films are encoded at the precision."""
        key = self._key(source, precision)
        if key not in self._features:
            self._features[key] = (
                self._encoded(precision) if key[0] == FILMS else self._workload.feature_rows()
            )
        return self._features[key]

    def _key(self, source: str, precision: str) -> tuple[str, str]:
        """Films in fp32 are their features, where these were made of them."""
        if source == FILMS and precision == FP32 and self._are_of_films:
            return (FEATURES, precision)
        return (source, precision)

    def _encoded(self, precision: str) -> NDArray[np.float32]:
        workload = self._workload
        device, precision = workload.engine(precision)
        with cxrscribe.load(
            workload.bundle,
            device=device if device == OPENVINO.name else CPU.name,
            precision=precision,
            threads=workload.threads,
        ) as reporter:
            return reporter.encode(list(workload.films))


def _difference(place: int, expected: Words, found: Words) -> str:
    pairs = enumerate(zip(expected, found, strict=False))
    first = next((index for index, (one, other) in pairs if one != other), min(len(expected), len(found)))
    return (
        f"image {place}: other from word {first} on ({len(found)} words, the reference has {len(expected)})"
    )
