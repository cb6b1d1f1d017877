"""What becomes of a batch in which one image's search fails."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cxrscribe.decoder import decode_batch, decode_stream
from cxrscribe.errors import DecodingError
from cxrscribe.report import Report
from cxrscribe.settings import BeamSettings
from cxrscribe.state import State
from cxrscribe.stats import DecodingStats
from support.small_models import SmallDecoder, letters

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


@pytest.mark.parametrize("first_bad_step", [0, 1, 3])
def test_nan_ends_the_search_of_its_image_and_of_no_other(first_bad_step: int) -> None:
    features = some_features()
    model, settings = FailingDecoder(first_bad_step), [CHOSEN] * 5
    reports = decode_batch(model, letters(WORDS), features, settings, DecodingStats())
    expected = decode_batch(FailingDecoder(99), letters(WORDS), features, settings, DecodingStats())
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
