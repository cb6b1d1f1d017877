"""Fitting what the patient's text becomes: the words of an INDICATION, mapped onto what reports then say.

Ridge regression from the text's words and pairs to the presence of sentences and words in the report, and of
that map the directions that matter most (singular vectors). Closed forms: it takes seconds, has no seed but
that of the folds, and comes out the same each time.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from cxrscribe.cleaning import COMMAS, DEIDENTIFIED
from cxrscribe.errors import InputError
from cxrscribe.patient_text import PatientText, terms_of, unit
from cxrscribe.vocabulary import SENTENCE_END
from cxrscribe_train.context.folds import folds_of

RIDGE: Final = 3.0
LEAST_INDICATIONS: Final = 3
"""Texts that a term has to stand in."""
LEAST_SENTENCES: Final = 6
LEAST_WORDS: Final = 10
"""Reports that a sentence or a word has to stand in, to be told from the text."""
SENTENCE_WEIGHT: Final = 2.0
MOST_TERMS: Final = 3000
MOST_TARGETS: Final = 1500
"""Of sentences and of words: the most frequent ones. Both bound the memory that large corpora take."""
_ROWS_AT_ONCE: Final = 2048

Matrix = NDArray[np.float64]
Words = Sequence[str]
Thing = TypeVar("Thing", str, tuple[str, ...])


@dataclass(frozen=True)
class FittedText:
    """How texts are read, and the numbers of the texts that it was fitted on."""

    text: PatientText
    out_of_fold: NDArray[np.float32]
    """[N, P]: of each row, told by what was fitted on the other folds; zeros where there is no text."""


def fit_patient_text(
    indications: Sequence[str],
    reports: Sequence[Words],
    studies: Sequence[str],
    *,
    size: int,
    cleaning: int,
    seed: int,
) -> FittedText:
    """Fit on the texts of a training split.

    Args:
        indications: of each row, empty where there is none.
        reports: cleaned words of each row's report.
        studies: of each row; a study's text counts once.
        size: P at most; less where fewer things can be told.
        cleaning: version of the rules that make words of a text.
        seed: of the folds.

    Raises:
        InputError: too few rows have a text to learn anything from.
    """
    terms_of_rows = [terms_of(text, cleaning) for text in indications]
    first = {study: row for row, study in reversed(list(enumerate(studies)))}
    fitted = np.array(sorted(row for row in first.values() if terms_of_rows[row]), np.int64)
    terms = _frequent((set(terms_of_rows[row]) for row in fitted), least=LEAST_INDICATIONS, most=MOST_TERMS)
    targets = _Targets.of([reports[row] for row in fitted])
    if not terms or not len(targets):
        raise InputError(
            f"{len(fitted)} studies of the training split have an INDICATION, too few to learn what it says; "
            "train without --context, or give a corpus with more of them"
        )
    place_of = {term: place for place, term in enumerate(terms)}
    frequency = Counter(term for row in fitted for term in set(terms_of_rows[row]))
    weights = np.array(
        [1 + math.log((1 + len(fitted)) / (1 + frequency[term])) for term in terms], np.float32
    )
    inputs = _Inputs([_places(each, place_of) for each in terms_of_rows], weights.astype(np.float64))
    wanted = targets.matrix([reports[row] for row in fitted])  # [n, Q]
    wanted -= wanted.mean(axis=0)

    whole = _Sums.of(inputs, fitted, wanted)
    _, strengths, directions = np.linalg.svd(whole.ridge(), full_matrices=False)
    kept = directions[: min(size, int((strengths > strengths[0] * 1e-6).sum()))].T  # [Q, P]
    text = PatientText(terms, weights, (whole.ridge() @ kept).astype(np.float32), cleaning)
    told = np.zeros((len(indications), kept.shape[1]))
    place_in_fit = {int(row): place for place, row in enumerate(fitted)}
    for fold in folds_of(studies, seed):
        apart = [row for row in fold.tolist() if row in place_in_fit]
        own = _Sums.of(inputs, np.array(apart, np.int64), wanted[[place_in_fit[row] for row in apart]])
        told[fold] = inputs.rows(fold) @ (whole.without(own).ridge() @ kept)
    return FittedText(text, told.astype(np.float32))


@dataclass(frozen=True)
class _Inputs:
    """Texts as rows of weights, of length 1 or, without a known term, 0; dense only a part at a time."""

    places: Sequence[Sequence[int]]
    weights: Matrix

    def rows(self, numbers: NDArray[np.int64]) -> Matrix:
        """[n, M]"""
        dense = np.zeros((len(numbers), len(self.weights)))
        for row, number in zip(dense, numbers.tolist(), strict=True):
            places = list(self.places[number])
            row[places] = unit(self.weights[places])
        return dense


@dataclass(frozen=True)
class _Sums:
    """What a ridge regression needs of its rows; sums of parts are sums of the whole."""

    squares: Matrix  # [M, M]
    products: Matrix  # [M, Q]

    @classmethod
    def of(cls, inputs: _Inputs, numbers: NDArray[np.int64], wanted: Matrix) -> _Sums:
        terms = len(inputs.weights)
        squares, products = np.zeros((terms, terms)), np.zeros((terms, wanted.shape[1]))
        for start in range(0, len(numbers), _ROWS_AT_ONCE):
            part = inputs.rows(numbers[start : start + _ROWS_AT_ONCE])
            squares += part.T @ part
            products += part.T @ wanted[start : start + _ROWS_AT_ONCE]
        return cls(squares, products)

    def without(self, other: _Sums) -> _Sums:
        return _Sums(self.squares - other.squares, self.products - other.products)

    def ridge(self) -> Matrix:
        """[M, Q]"""
        held = self.squares + RIDGE * np.eye(len(self.squares))
        return np.linalg.solve(held, self.products).astype(np.float64, copy=False)


@dataclass(frozen=True)
class _Targets:
    """The sentences and words whose presence in a report is told."""

    sentences: dict[tuple[str, ...], int]
    words: dict[str, int]

    @classmethod
    def of(cls, reports: Sequence[Words]) -> _Targets:
        sentences = _frequent(
            (set(sentences_of(report)) for report in reports), least=LEAST_SENTENCES, most=MOST_TARGETS
        )
        words = _frequent(
            (set(report) - COMMAS - {SENTENCE_END, DEIDENTIFIED} for report in reports),
            least=LEAST_WORDS,
            most=MOST_TARGETS,
        )
        return cls(
            {sentence: place for place, sentence in enumerate(sentences)},
            {word: len(sentences) + place for place, word in enumerate(words)},
        )

    def __len__(self) -> int:
        return len(self.sentences) + len(self.words)

    def matrix(self, reports: Sequence[Words]) -> Matrix:
        """[N, Q]: the weight of what is there, else 0."""
        present = np.zeros((len(reports), len(self)))
        for row, report in zip(present, reports, strict=True):
            there = (self.sentences.get(sentence) for sentence in sentences_of(report))
            row[[place for place in there if place is not None]] = SENTENCE_WEIGHT
            row[[self.words[word] for word in report if word in self.words]] = 1.0
        return present


def sentences_of(report: Words) -> Iterator[tuple[str, ...]]:
    """The sentences of cleaned words, without their ends."""
    for is_end, words in groupby(report, key=lambda word: word == SENTENCE_END):
        if not is_end:
            yield tuple(words)


def _frequent(sets: Iterable[set[Thing]], *, least: int, most: int) -> tuple[Thing, ...]:
    """What is in at least `least` of the sets, the `most` most frequent, ties in their own order."""
    counts = Counter(thing for each in sets for thing in each)
    common = [thing for thing in counts if counts[thing] >= least]
    return tuple(sorted(common, key=lambda thing: (-counts[thing], thing))[:most])


def _places(terms: Iterable[str], place_of: dict[str, int]) -> list[int]:
    return sorted({place_of[term] for term in terms if term in place_of})
