"""From image features to reports, batch by batch, with whatever computes the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxrscribe.beam import BeamSearch
from cxrscribe.constraints import Constraints
from cxrscribe.errors import DecodingError, InputError
from cxrscribe.expansion import StepExpander
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings, settings_of_each, settings_of_stream
from cxrscribe.stats import DecodingStats
from cxrscribe.step import StepModel
from cxrscribe.transcript import write_report
from cxrscribe.vocabulary import Vocabulary

IMAGES_AT_ONCE: Final = 32

BatchSearch: TypeAlias = Callable[[NDArray[np.float32], list[BeamSettings]], list[Report | DecodingError]]
"""Searches for all rows of features float32 [N, F] at once, as `decode_batch` does."""

_NAN: Final = (
    "the decoder's log-probabilities have NaN in them; check that the features are finite and come from this "
    "bundle's encoder, and that the export passed its parity checks"
)


def decode(
    model: StepModel,
    vocabulary: Vocabulary,
    features: ArrayLike,
    settings: BeamSettings | Sequence[BeamSettings],
    stats: DecodingStats | None = None,
) -> list[Report]:
    """One report for each row of `features`, float32 [N, F], in order.

    `settings` is one for all, or one for each. Raises SettingsError for settings that don't fit the
    vocabulary or the number of rows, InputError for features that aren't finite numbers [N, F], and
    DecodingError when a search ends without any report, for its settings forbid all or the network gives NaN.
    """
    rows = feature_matrix(features)
    each = settings_of_each(settings, len(rows))
    return list(decode_stream(model, vocabulary, rows, each, stats))


def decode_stream(
    model: StepModel,
    vocabulary: Vocabulary,
    features: Iterable[ArrayLike],
    settings: BeamSettings | Iterable[BeamSettings],
    stats: DecodingStats | None = None,
) -> Iterator[Report]:
    """One report for each row float32 [F] that `features` gives, in order; holds one batch at a time.

    Raises as `decode` does, when the image's turn comes.
    """
    counted = stats if stats is not None else DecodingStats()
    return search_in_batches(features, settings, partial(decode_batch, model, vocabulary, stats=counted))


def search_in_batches(
    features: Iterable[ArrayLike],
    settings: BeamSettings | Iterable[BeamSettings],
    search: BatchSearch,
    batch_size: int = IMAGES_AT_ONCE,
) -> Iterator[Report]:
    """As `decode_stream`, with `search` for each batch of rows."""
    pairs = zip(features, settings_of_stream(settings), strict=False)
    while batch := list(islice(pairs, batch_size)):
        matrix = feature_matrix([np.asarray(row) for row, _ in batch])
        for report in search(matrix, [each for _, each in batch]):
            if isinstance(report, DecodingError):
                raise report
            yield report


def decode_batch(
    model: StepModel,
    vocabulary: Vocabulary,
    features: NDArray[np.float32],
    settings: Sequence[BeamSettings],
    stats: DecodingStats,
) -> list[Report | DecodingError]:
    """Search for all rows of `features` [N, F] at once; a search without any report gives its error.

    The other searches go on, whatever becomes of one.
    """
    if len(features) == 0:
        return []
    reports: list[Report | DecodingError | None] = [None] * len(features)
    constraints = Constraints.of(settings, vocabulary)
    with stats.timed("decode"):
        search = BeamSearch(constraints, len(vocabulary))
        expander = StepExpander(model, features)
        while search.images:
            results = search.advance(expander.expand(search.frontier(), stats))
            for row, image in enumerate(results.image.tolist()):
                reports[image] = (
                    DecodingError(_NAN)
                    if results.has_nan[row]
                    else write_report(results.hypotheses, results.score, row, settings[image], vocabulary)
                )
    done = [report for report in reports if report is not None]
    stats.batches += 1
    stats.images += len(done)
    stats.words += sum(len(report.tokens) for report in done if isinstance(report, Report))
    return done


def feature_matrix(features: ArrayLike) -> NDArray[np.float32]:
    """Features as float32 [N, F]. Raises InputError when they are of another shape, or not finite."""
    try:
        matrix = np.asarray(features, np.float32)
    except (TypeError, ValueError):
        raise InputError("features are not rows of numbers, all of one length; give float32 [N, F]") from None
    if matrix.ndim != 2:
        raise InputError(f"features have the shape {list(matrix.shape)}; give float32 [N, F], one row a film")
    wrong = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(wrong):
        raise InputError(f"features of row {wrong[0]} of the batch are not finite; make them again")
    return matrix
