"""Parts of a training split, so that what is learned on some is told of the others.

What a linear map is fitted on it tells too well. A network that is trained on such numbers trusts them too
much, and they are worse when it meets a film that nobody has fitted anything on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FOLDS: Final = 5


def folds_of(studies: Sequence[str], seed: int) -> list[NDArray[np.int64]]:
    """The rows of each fold, int64 [n]: all rows of a study are in one, and each row is in one.

    Fewer than `FOLDS` folds where there are fewer studies.
    """
    known = {study: place for place, study in enumerate(dict.fromkeys(studies))}
    order = np.random.default_rng(seed).permutation(len(known))
    fold_of_study = np.empty(len(known), np.int64)
    fold_of_study[order] = np.arange(len(known)) % FOLDS
    fold = fold_of_study[[known[study] for study in studies]]
    return [np.flatnonzero(fold == number) for number in range(min(FOLDS, len(known)))]
