"""The films that precisions are compared on: those of the test split, with what is true of them."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxrscribe.bundle.precision_cost import ReportFigures
from cxrscribe.cleaning import comparable
from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.films import read_films
from cxrscribe_train.corpus.table import Corpus
from cxrscribe_train.evaluation.metrics.bleu import ORDERS, BleuCounts, Words
from cxrscribe_train.evaluation.metrics.finding_set import FindingSet
from cxrscribe_train.evaluation.metrics.labels import LABELS
from cxrscribe_train.evaluation.metrics.statements import Counts, StatementMatrix
from cxrscribe_train.evaluation.subject import Film, Subject


@dataclass(frozen=True)
class Trial:
    """Films that the model was not trained on, each with a reference report."""

    split: str
    """`test`, or `val+test` where the test split is too small."""
    films: NDArray[np.uint8]
    """[N, H, W], preprocessed."""
    references: tuple[Words, ...]
    """Their words as scores count them."""
    truth: StatementMatrix
    """[N, kinds of finding]"""
    indications: tuple[str, ...] = ()
    """What is known of each patient, for models with a context; empty where nothing is."""

    @classmethod
    def of(
        cls, corpus: Corpus, preprocessing: Preprocessing, count: int, trained_on: Set[str] = frozenset()
    ) -> Trial:
        """Read the first `count` usable films of the test split, with the validation split if it is small.

        Args:
            corpus: one whose test split the model was not trained on.
            preprocessing: the model's.
            count: how many films at most; films that can't be read are left out for others.
            trained_on: ids of the studies that the model was trained on, as far as they are known.

        Raises:
            InputError: no film can be used, or the model was trained on one of them.
        """
        split, films = "test", _usable(corpus, "test")
        if len(films) < count:
            split, films = "val+test", [*films, *_usable(corpus, "val")]
        seen = {film.study_id for film in films} & trained_on
        if seen:
            raise InputError(
                f"{len(seen)} studies of {split} in {corpus.root} were trained on by this model; give "
                "another corpus to compare precisions on"
            )
        pairs = _read(films, preprocessing, count)
        if not pairs:
            raise InputError(
                f"{corpus.root} has no film with a report in {split}, so that precisions can't be compared; "
                "give a corpus that has some"
            )
        chosen = [film for film, _ in pairs]
        return cls(
            split,
            np.stack([pixels for _, pixels in pairs]),
            tuple(comparable(film.reference) for film in chosen),
            LABELS.matrix(film.truth for film in chosen),
            tuple(film.indication for film in chosen),
        )

    def figures(self, reports: Sequence[Words]) -> ReportFigures:
        """BLEU-4 and label F1 of one report a film, as `cxrscribe evaluate` computes them."""
        once = np.ones((1, len(self.references)))
        bleu = BleuCounts.of([comparable(report) for report in reports], self.references).statistic(ORDERS)(
            once
        )
        stated = LABELS.matrix(FindingSet.stated_by(report) for report in reports)
        f1 = Counts.of(stated, self.truth, once).micro()["f1_micro"] if self.truth.any() else None
        return ReportFigures(float(bleu[0]), None if f1 is None else float(f1[0]))


def _usable(corpus: Corpus, split: str) -> list[Film]:
    if not any(row.image_path and row.findings for row in corpus.split(split)):
        return []
    return list(Subject.of(corpus, split).films)


def _read(
    films: Sequence[Film], preprocessing: Preprocessing, count: int
) -> list[tuple[Film, NDArray[np.uint8]]]:
    """The first `count` films that can be read, with their pixels uint8 [H, W]."""
    pairs: list[tuple[Film, NDArray[np.uint8]]] = []
    by_id = {film.image_id: film for film in films}
    files = ((film.image_id, film.path) for film in films if film.path is not None)
    with closing(read_films(files, preprocessing)) as read:
        for image_id, pixels in read:
            if isinstance(pixels, np.ndarray):
                pairs.append((by_id[image_id], pixels))
            if len(pairs) == count:
                break
    return pairs
