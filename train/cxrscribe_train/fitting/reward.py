"""What a sampled report is worth: how near it is to the film's own report, in words and in findings.

    reward = BLEU-4 of the report by itself + label_reward * (hits - false alarms / 2) / 2

A hit is a finding, or a finding at a place, that both reports state by the rules of the labeller; a false
alarm is one that the film's report doesn't state. A finding at its right place is two hits: it is worth
`label_reward`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.vocabulary import END, PAD, Vocabulary
from cxrscribe_train.labeller import label_places, label_words
from cxrscribe_train.ngrams import Ngram, Words, ngrams, sentence_bleu


@dataclass(frozen=True)
class Rewards:
    """The reports that samples are held against, and what counts.

    Attributes:
        train: words of each training film's own report, whatever it is taught to write.
        val: of each validation film.
        vocabulary: what the tokens of a sample mean.
        label_reward: what findings weigh.
    """

    train: tuple[Words, ...]
    val: tuple[Words, ...]
    vocabulary: Vocabulary
    label_reward: float

    def digest(self) -> str:
        """sha256 of all reports."""
        return hashlib.sha256(json.dumps([self.train, self.val]).encode("utf-8", "surrogatepass")).hexdigest()


class RewardOf:
    """The reward of reports of one split's films."""

    def __init__(self, references: Sequence[Words], vocabulary: Vocabulary, label_reward: float) -> None:
        """`references`: words of each film's report, at least one."""
        self._references = references
        self._vocabulary = vocabulary
        self._label_reward = label_reward
        self._known: dict[int, _Reference] = {}

    def __call__(self, films: Sequence[int], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """The reward of each report, float64 [R].

        Args:
            films: numbers of the films that the reports are of, R.
            tokens: int64 [R, T], `w1 .. wn <end>`, padded; one that was cut has no `<end>`.
        """
        reports = (self._words(row) for row in tokens)
        return np.array([self._reward(film, report) for film, report in zip(films, reports, strict=True)])

    def _words(self, row: NDArray[np.int64]) -> Words:
        return tuple(self._vocabulary.words[token] for token in row.tolist() if token not in (PAD, END))

    def _reward(self, film: int, report: Words) -> float:
        reference = self._known.get(film)
        if reference is None:
            reference = self._known[film] = _Reference.of(self._references[film])
        found = stated(report)
        hits = len(found & reference.stated)
        false_alarms = len(found) - hits
        of_words = sentence_bleu(report, reference.ngrams, reference.length)
        return of_words + self._label_reward * (hits - 0.5 * false_alarms) / 2


@dataclass(frozen=True)
class _Reference:
    ngrams: Mapping[Ngram, int]
    length: int
    stated: frozenset[object]

    @classmethod
    def of(cls, report: Words) -> _Reference:
        return cls(dict(ngrams(report)), len(report), stated(report))


def stated(report: Sequence[str]) -> frozenset[object]:
    """The findings that cleaned words state, and each of them at each of its places."""
    return label_words(report) | label_places(report)
