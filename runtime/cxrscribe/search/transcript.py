"""From what a search found to the report of its image."""

from __future__ import annotations

from typing import Final

from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.search.beam import Outcome
from cxrscribe.search.hypothesis import Hypothesis
from cxrscribe.vocabulary import Vocabulary

_NAN: Final = (
    "the decoder's log-probabilities have NaN in them; check that the features are finite and come from this "
    "bundle's encoder, and that the export passed its parity checks"
)


def write_report(outcome: Outcome, vocabulary: Vocabulary) -> Report | DecodingError:
    """The image's report; its alternatives are results 2 to n_best.

    Where the search ended without any hypothesis, the error that says why: the caller raises it when that
    image's turn comes.
    """
    if outcome.has_nan:
        return DecodingError(_NAN)
    if not outcome.hypotheses:
        return DecodingError(
            f"the search ended without any report: {outcome.settings} forbid all of them; "
            "lower min_length or no_repeat_ngram, ban fewer words, or raise beam_width"
        )
    best, *others = outcome.hypotheses
    return _report(best, vocabulary, tuple(_report(each, vocabulary) for each in others))


def _report(hypothesis: Hypothesis, vocabulary: Vocabulary, alternatives: tuple[Report, ...] = ()) -> Report:
    return Report(
        text=vocabulary.text(hypothesis.words),
        tokens=tuple(hypothesis.words),
        log_prob=hypothesis.log_prob,
        score=hypothesis.score,
        token_log_probs=tuple(hypothesis.token_log_probs),
        finished=hypothesis.finished,
        alternatives=alternatives,
    )
