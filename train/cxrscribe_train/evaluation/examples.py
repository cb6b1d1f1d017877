"""Films to look at: where the model does best, where worst, and some by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cxrscribe.cleaning import comparable
from cxrscribe_train.evaluation.evaluation import Written
from cxrscribe_train.evaluation.metrics.similarity import rouge_l

SHOWN: Final = 6
"""Films of each group."""


@dataclass(frozen=True)
class Example:
    """A film with its report and how well that did: F1 of its findings, and ROUGE-L."""

    written: Written
    label_f1: float
    rouge_l: float


@dataclass(frozen=True)
class Examples:
    """Three groups; a film may be in `random` and in another one."""

    best: tuple[Example, ...]
    worst: tuple[Example, ...]
    random: tuple[Example, ...]


def choose_examples(written: Sequence[Written], seed: int, shown: int = SHOWN) -> Examples:
    """Rank by the F1 of the film's findings, then by ROUGE-L.

    The best ones are taken from films with a finding while there are any: a normal report of a normal film
    shows little. With few films the groups get smaller and no film is both best and worst.
    """
    similar = rouge_l(
        [comparable(one.report) for one in written], [comparable(one.film.reference) for one in written]
    )
    examples = [Example(one, film_f1(one), float(score)) for one, score in zip(written, similar, strict=True)]
    ranked = sorted(examples, key=lambda example: (example.label_f1, example.rouge_l))
    each = min(shown, len(ranked) // 2) or 1
    worst = ranked[:each]
    others = ranked[each:]
    telling = sorted(
        others,
        key=lambda example: (bool(example.written.film.truth.kinds), example.label_f1, example.rouge_l),
    )
    drawn = np.random.default_rng(seed).permutation(len(examples))[:shown]
    return Examples(
        best=tuple(reversed(telling[-each:])),
        worst=tuple(worst),
        random=tuple(examples[place] for place in drawn),
    )


def film_f1(written: Written) -> float:
    """F1 of one film's findings; 1 where there are none and none is stated."""
    true, stated = written.film.truth.kinds, written.stated.kinds
    if not true and not stated:
        return 1.0
    return 2 * len(true & stated) / (len(true) + len(stated))
