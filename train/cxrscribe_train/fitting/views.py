"""Several views of one study: which films an example is made of, and how they become one row of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.study import pooled
from cxrscribe_train.fitting.dataset import Examples

# The part of the seed that is this one's own.
_DRAWN: Final = 1


@dataclass(frozen=True, eq=False)
class StudyViews:
    """The films of each study, by their numbers among the films of a split."""

    films: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, studies: Sequence[str]) -> StudyViews:
        """From the study of each film; studies come in the order of their first films."""
        numbers: dict[str, list[int]] = {}
        for number, study in enumerate(studies):
            numbers.setdefault(study, []).append(number)
        return cls(tuple(np.array(each, np.int64) for each in numbers.values()))

    @property
    def first(self) -> tuple[int, ...]:
        """The first film of each study, by whose number a study is known."""
        return tuple(int(films[0]) for films in self.films)

    def drawn(self, study: int, seed: int, epoch: int) -> NDArray[np.int64]:
        """Some of a study's films, at least one; each non-empty choice is equally likely.

        It follows from the seed, the epoch and the study's number alone: a resumed training, and one of
        several processes, draws what it would have.
        """
        films = self.films[study]
        random = np.random.default_rng((seed, epoch, study, _DRAWN))
        while True:
            chosen = films[random.random(len(films)) < 0.5]
            if len(chosen):
                return chosen

    def pooled(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """One row a study of `features` float32 [films, F]: those of all its films, as the runtime pools."""
        return np.stack([pooled(features[films]) for films in self.films])


def examples_by_study(examples: Examples) -> Examples:
    """One example a study, each named by its first image. `examples`: one an image.

    Raises InputError where two images of a study have different reports: a study has one.
    """
    views = StudyViews.of(examples.studies)
    for films in views.films:
        if len({examples.words[film] for film in films}) > 1:
            raise InputError(
                f"study {examples.studies[films[0]]!r} has images with different FINDINGS; views = all needs "
                "one report a study: correct the corpus, or train on one view"
            )
    return Examples(
        tuple(examples.image_ids[film] for film in views.first),
        tuple(examples.words[film] for film in views.first),
        examples.without_image,
        examples.without_findings,
        tuple(examples.indications[film] for film in views.first),
        tuple(examples.studies[film] for film in views.first),
    )
