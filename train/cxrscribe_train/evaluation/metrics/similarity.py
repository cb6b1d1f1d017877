"""ROUGE-L and CIDEr of each film, by pycocoevalcap, the reference implementation of this field.

Its texts are words joined by single blanks; its tokenizer (a GPL program in Java) and SPICE are never used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cxrscribe_train.evaluation.metrics.bleu import Words


def rouge_l(reports: Sequence[Words], references: Sequence[Words]) -> NDArray[np.float64]:
    """ROUGE-L of each film, float64 [N]."""
    from pycocoevalcap.rouge.rouge import Rouge

    return _scores(Rouge(), reports, references)


def cider(reports: Sequence[Words], references: Sequence[Words]) -> NDArray[np.float64]:
    """CIDEr of each film, float64 [N], up to 10; an n-gram weighs more the rarer it is in `references`."""
    from pycocoevalcap.cider.cider import Cider

    return _scores(Cider(), reports, references)


def _scores(scorer: object, reports: Sequence[Words], references: Sequence[Words]) -> NDArray[np.float64]:
    truths = {film: [" ".join(words)] for film, words in enumerate(references)}
    drafts = {film: [" ".join(words)] for film, words in enumerate(reports)}
    _, scores = scorer.compute_score(truths, drafts)  # type: ignore[attr-defined]
    return np.asarray(scores, dtype=np.float64)
