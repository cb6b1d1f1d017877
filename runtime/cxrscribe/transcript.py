"""From the hypotheses of one image to its report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError
from cxrscribe.hypotheses import Hypotheses
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings
from cxrscribe.vocabulary import Vocabulary


def write_report(
    hypotheses: Hypotheses,
    score: NDArray[np.float64],
    image: int,
    settings: BeamSettings,
    vocabulary: Vocabulary,
) -> Report | DecodingError:
    """The report of row `image` of `hypotheses` [F, K], whose scores are `score` [F, K].

    Its alternatives are results 2 to n_best. Where the search ended without any hypothesis, the error that
    says so: the caller raises it when that image's turn comes.
    """
    count = min(int(hypotheses.exists[image].sum()), settings.n_best)
    if count == 0:
        return DecodingError(
            f"the search ended without any report: {settings} forbid all of them; "
            "lower min_length or no_repeat_ngram, ban fewer words, or raise beam_width"
        )
    finished = hypotheses.finished[image]
    results: list[Report] = []
    for rank in range(count):
        length = int(hypotheses.length[image, rank])
        ends = bool(finished[rank])
        tokens = hypotheses.tokens[image, rank, : length - ends].tolist()
        results.append(
            Report(
                text=vocabulary.text(tokens),
                tokens=tuple(tokens),
                log_prob=float(hypotheses.log_prob[image, rank]),
                score=float(score[image, rank]),
                token_log_probs=tuple(hypotheses.token_log_probs[image, rank, :length].tolist()),
                finished=ends,
            )
        )
    return replace(results[0], alternatives=tuple(results[1:]))
