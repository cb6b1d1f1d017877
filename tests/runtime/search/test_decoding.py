"""What becomes of a batch in which one image's search fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, InputError
from cxrscribe.report import Report
from cxrscribe.search.decoding import ReportOrError, decode, decode_stream, search_in_order
from cxrscribe.search.requests import FeatureMatrix
from cxrscribe.search.scheduler import Scheduler
from cxrscribe.search.step import State
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.settings import BeamSettings
from cxrscribe.stats import DecodingStats
from support.small_models import SmallDecoder, letters

pytestmark = pytest.mark.arm64

WORDS, FEATURES, SICK = 8, 3, 2
CHOSEN = BeamSettings(beam_width=3, max_length=7, min_length=1)


class FailingDecoder:
    """A SmallDecoder that gives NaN for images whose first feature is negative, from one step on.

    The state has one layer more than the network: it says of which image a row is.
    """

    def __init__(self, first_bad_step: int) -> None:
        self._model = SmallDecoder.random(seed=3, words=WORDS)
        self._left = first_bad_step

    def initial_state(self, features: NDArray[np.float32]) -> State:
        state = self._model.initial_state(np.abs(features))
        mark = np.broadcast_to(features[None, :, :1] < 0, (1, *state.hidden.shape[1:]))
        return self._marked(state, mark.astype(np.float32))

    def step(self, tokens: NDArray[np.int64], state: State) -> tuple[NDArray[np.float32], State]:
        mark = state.hidden[-1:]
        log_probs, after = self._model.step(tokens, State(state.hidden[:-1], state.cell[:-1]))
        self._left -= 1
        if self._left < 0:
            log_probs[mark[0, :, 0] > 0, 5] = np.nan
        return log_probs, self._marked(after, mark)

    def _marked(self, state: State, mark: NDArray[np.float32]) -> State:
        return State(np.concatenate((state.hidden, mark)), np.concatenate((state.cell, mark)))


def some_features() -> NDArray[np.float32]:
    features = np.abs(np.random.default_rng(0).normal(size=(5, FEATURES))).astype(np.float32)
    features[SICK, 0] *= -1
    return features


def decode_all(model: FailingDecoder, features: NDArray[np.float32]) -> list[ReportOrError]:
    vocabulary = letters(WORDS)
    scheduler = Scheduler(StepExpander(model), vocabulary, 4, one_width=False)
    return list(search_in_order(scheduler, FeatureMatrix(features, [CHOSEN] * len(features), vocabulary, 4)))


@pytest.mark.parametrize("first_bad_step", [0, 1, 3])
def test_nan_ends_the_search_of_its_image_and_of_no_other(first_bad_step: int) -> None:
    features = some_features()
    reports = decode_all(FailingDecoder(first_bad_step), features)
    expected = decode_all(FailingDecoder(99), features)
    assert all(isinstance(report, Report) for report in expected)
    error = reports.pop(SICK)
    assert isinstance(error, DecodingError)
    assert "NaN" in str(error)
    assert reports == expected[:SICK] + expected[SICK + 1 :]


def test_a_stream_raises_it_when_the_images_turn_comes() -> None:
    stream = decode_stream(FailingDecoder(1), letters(WORDS), some_features(), CHOSEN)
    for _ in range(SICK):
        assert isinstance(next(stream), Report)
    with pytest.raises(DecodingError, match="NaN"):
        next(stream)


def test_reports_of_all_rows_before_a_bad_one_come_first() -> None:
    features = list(np.abs(some_features()))
    features.insert(3, np.full(FEATURES, np.inf, np.float32))
    stream = decode_stream(FailingDecoder(99), letters(WORDS), features, CHOSEN)
    for _ in range(3):
        assert isinstance(next(stream), Report)
    with pytest.raises(InputError, match="row 3 are not finite"):
        next(stream)


def test_what_the_rows_origin_raises_comes_after_the_reports_of_its_rows() -> None:
    def rows() -> Iterator[NDArray[np.float32]]:
        yield from np.abs(some_features())[:2]
        raise OSError("the disk is gone")

    stream = decode_stream(FailingDecoder(99), letters(WORDS), rows(), CHOSEN)
    assert [isinstance(next(stream), Report) for _ in range(2)] == [True, True]
    with pytest.raises(OSError, match="disk"):
        next(stream)


def test_rows_of_another_size_are_named() -> None:
    rows = [np.ones(FEATURES), np.ones(FEATURES + 1)]
    with pytest.raises(InputError, match="row 1 have 4 numbers, not 3"):
        list(decode_stream(FailingDecoder(99), letters(WORDS), rows, CHOSEN))


def test_steps_saved_are_those_up_to_max_length() -> None:
    stats = DecodingStats()
    features = np.abs(some_features())
    reports = decode(FailingDecoder(99), letters(WORDS), features, BeamSettings(max_length=40), stats)
    assert stats.images == len(reports) == 5
    assert stats.image_steps + stats.steps_saved == 5 * 40
    assert stats.steps <= stats.image_steps
    assert stats.words == sum(len(report.tokens) for report in reports)
    assert 0 < stats.decoder_seconds < stats.decode_seconds
    assert stats.python_seconds == stats.decode_seconds - stats.decoder_seconds
    assert stats.rows_per_step == stats.rows / stats.steps


def test_images_go_on_at_full_width_while_others_wait() -> None:
    """Ten images of one step each, three at a time: four steps, of which three are full."""
    stats = DecodingStats()
    vocabulary = letters(WORDS)
    scheduler = Scheduler(StepExpander(FailingDecoder(99)), vocabulary, 3, one_width=False)
    features = np.ones((10, FEATURES), np.float32)
    each = [BeamSettings(beam_width=1, max_length=1)] * 10
    list(search_in_order(scheduler, FeatureMatrix(features, each, vocabulary, 2), stats))
    assert (stats.steps, stats.rows) == (4, 10)
