"""Training films, on which the scales of int8 activations are measured."""

from __future__ import annotations

from collections.abc import Set
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import InputError
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_train.corpus.films import read_films
from cxrscribe_train.corpus.table import Corpus

_SEED: Final = 0


@dataclass(frozen=True)
class CalibrationFilms:
    """Films of a training split, with what is known of each patient."""

    pixels: NDArray[np.uint8]
    """[M, H, W], preprocessed."""
    indications: tuple[str, ...]
    """As the corpus has them; empty texts where it has none."""


def calibration_films(
    corpus: Corpus, preprocessing: Preprocessing, count: int, trained_on: Set[str] | None = None
) -> CalibrationFilms:
    """Films of the training split, drawn with a fixed seed, at most `count`.

    Fewer where the split has fewer. Films that can't be read are left out for others.

    Args:
        corpus: the one that the model was trained on.
        preprocessing: the model's.
        count: how many films.
        trained_on: ids of the studies that it was trained on; None where they aren't known.

    Raises:
        InputError: the corpus has no training film that can be read.
    """
    rows = {row.image_id: row for row in corpus.split("train") if row.image_path}
    films = [
        (image_id, corpus.image_file(row))
        for image_id, row in rows.items()
        if trained_on is None or row.study_id in trained_on
    ]
    order = np.random.default_rng(_SEED).permutation(len(films))
    chosen: list[NDArray[np.uint8]] = []
    indications: list[str] = []
    with closing(read_films((films[place] for place in order), preprocessing)) as read:
        for image_id, pixels in read:
            if isinstance(pixels, np.ndarray):
                chosen.append(pixels)
                indications.append(rows[image_id].indication)
            if len(chosen) == count:
                break
    if not chosen:
        raise InputError(
            f"{corpus.root} has no film to calibrate int8 with: none of its training split can be read, "
            "or none was trained on; give the corpus that the model was trained on"
        )
    return CalibrationFilms(np.stack(chosen), tuple(indications))
