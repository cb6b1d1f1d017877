"""The best constant report: the training report that scores best when every training film is given it.

Scoring every training report against every other takes too long for most metrics. The candidates are the
most frequent distinct reports and a seeded sample of the others; they are scored against a seeded sample of
the training split. Each metric has its own choice, made on the training split alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import ORDERS, Ngram, Words, bleu, ngrams
from cxrscribe_train.evaluation.metrics.lcs import References
from cxrscribe_train.evaluation.metrics.meteor import Meteor

MOST_FREQUENT: Final = 100
SAMPLED: Final = 200
COMPARED: Final = 1000
"""Candidates: this many of the most frequent reports and of the others; training films they are scored on."""
METEOR_CANDIDATES: Final = 8
METEOR_COMPARED: Final = 50
"""METEOR takes a millisecond a pair: it scores the best candidates by ROUGE-L and CIDEr, on fewer films."""
_SIGMA: Final = 6.0  # width of pycocoevalcap's CIDEr length penalty, in bigrams


@dataclass(frozen=True)
class TrainingSample:
    """Candidates for the constant report, most frequent first, and the training reports to score them on."""

    candidates: tuple[Words, ...]
    compared: tuple[Words, ...]

    @classmethod
    def draw(
        cls,
        reports: Sequence[Words],
        seed: int,
        most_frequent: int = MOST_FREQUENT,
        sampled: int = SAMPLED,
        compared: int = COMPARED,
    ) -> TrainingSample:
        """Take all where there are no more than asked for. `reports`: one a training film, at least one."""
        random = np.random.default_rng(seed)
        ranked = by_frequency(reports)
        frequent, others = ranked[:most_frequent], ranked[most_frequent:]
        return cls((*frequent, *_some(others, sampled, random)), _some(reports, compared, random))

    def best(self, meteor: Meteor | None) -> dict[str, Words]:
        """The best candidate for each text metric; `meteor` only where the Java program runs."""
        scores = {f"bleu_{order + 1}": column for order, column in enumerate(self.bleu_scores().T)}
        scores["rouge_l"] = self.rouge_l_scores()
        scores["cider"] = self.cider_scores()
        chosen = {name: self.candidates[int(np.argmax(column))] for name, column in scores.items()}
        if meteor is not None:
            chosen["meteor"] = self._best_by_meteor(meteor, scores["rouge_l"], scores["cider"])
        return chosen

    def bleu_scores(self) -> NDArray[np.float64]:
        """Corpus BLEU-1 to BLEU-4 of each candidate given to all compared films, [C, 4]."""
        # reports_with[g, j]: in how many compared reports n-gram g occurs at least j times; the clipped count
        # of a candidate that has g k times is then the sum over j = 1..k.
        reports_with: Counter[tuple[Ngram, int]] = Counter(
            (ngram, times + 1)
            for report in self.compared
            for ngram, count in ngrams(report).items()
            for times in range(count)
        )
        correct = np.zeros((len(self.candidates), ORDERS))
        for row, candidate in enumerate(self.candidates):
            for ngram, count in ngrams(candidate).items():
                correct[row, len(ngram) - 1] += sum(reports_with[ngram, times + 1] for times in range(count))
        lengths = np.array([len(candidate) for candidate in self.candidates], dtype=np.float64)
        films = len(self.compared)
        reference_length = np.full(len(self.candidates), float(sum(map(len, self.compared))))
        total = films * np.maximum(0, lengths[:, None] - np.arange(ORDERS))
        return bleu(correct, total, films * lengths, reference_length)

    def rouge_l_scores(self) -> NDArray[np.float64]:
        """Mean ROUGE-L of each candidate over the compared films, [C]."""
        references = References(self.compared)
        return np.array([references.rouge_l(candidate).mean() for candidate in self.candidates])

    def cider_scores(self) -> NDArray[np.float64]:
        """Mean CIDEr of each candidate over the compared films, [C]."""
        references = _CiderReferences(self.compared)
        return np.array([references.cider(candidate).mean() for candidate in self.candidates])

    def _best_by_meteor(
        self, meteor: Meteor, rouge_l: NDArray[np.float64], cider: NDArray[np.float64]
    ) -> Words:
        half = METEOR_CANDIDATES // 2
        places = dict.fromkeys([*np.argsort(-rouge_l)[:half].tolist(), *np.argsort(-cider)[:half].tolist()])
        candidates = [self.candidates[place] for place in places]
        compared = self.compared[:METEOR_COMPARED]
        counts = [
            meteor.counts([candidate] * len(compared), compared).sum(axis=0) for candidate in candidates
        ]
        return candidates[int(np.argmax(meteor.scores(np.array(counts))))]


def by_frequency(reports: Sequence[Words]) -> list[Words]:
    """Distinct reports, most frequent first, ties by the words."""
    counts = Counter(reports)
    return sorted(counts, key=lambda report: (-counts[report], report))


class _CiderReferences:
    """CIDEr of one report against many references: for each n-gram, its weights in all of them.

    The formula is that of `pycocoevalcap.cider`, to which a test holds it. R. Vedantam et al., CVPR 2015.
    """

    def __init__(self, references: Sequence[Words]) -> None:
        self._films = len(references)
        counts = [ngrams(words) for words in references]
        films_with = Counter(ngram for of_film in counts for ngram in of_film)
        rarities = np.log(self._films) - np.log(np.array(list(films_with.values()), dtype=np.float64))
        self._rarity: dict[Ngram, float] = dict(zip(films_with, rarities.tolist(), strict=True))
        self._norms = np.zeros((ORDERS, self._films))
        postings: dict[Ngram, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
        for film, of_film in enumerate(counts):
            for ngram, count in of_film.items():
                weight = count * self._rarity[ngram]
                postings[ngram][0].append(film)
                postings[ngram][1].append(weight)
                self._norms[len(ngram) - 1, film] += weight**2
        self._norms = np.sqrt(self._norms)
        self._postings = {
            ngram: (np.array(films), np.array(weights)) for ngram, (films, weights) in postings.items()
        }
        self._bigrams = np.array([max(0, len(words) - 1) for words in references])

    def cider(self, report: Words) -> NDArray[np.float64]:
        """CIDEr with each reference, float64 [N]."""
        common = np.zeros((ORDERS, self._films))
        squares = np.zeros(ORDERS)
        unseen = float(np.log(self._films))
        for ngram, count in ngrams(report).items():
            order, weight = len(ngram) - 1, count * self._rarity.get(ngram, unseen)
            squares[order] += weight**2
            if ngram in self._postings:
                films, weights = self._postings[ngram]
                common[order, films] += np.minimum(weight, weights) * weights
        norms = np.sqrt(squares)[:, None] * self._norms
        cosine = np.divide(common, norms, out=common.copy(), where=norms > 0)
        difference = max(0, len(report) - 1) - self._bigrams
        return np.asarray(10 * cosine.mean(axis=0) * np.exp(-(difference**2) / (2 * _SIGMA**2)))


def _some(reports: Sequence[Words], count: int, random: np.random.Generator) -> tuple[Words, ...]:
    if len(reports) <= count:
        return tuple(reports)
    return tuple(reports[place] for place in sorted(random.choice(len(reports), count, replace=False)))
