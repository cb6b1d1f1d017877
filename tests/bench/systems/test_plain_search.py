"""The peers' search is the exact one: that of the reference, ties included, and that of our runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import cxrscribe
from cxrscribe import BeamSettings
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import DecodingError, InputError
from cxrscribe.search.step import State
from cxrscribe_bench.systems.plain_onnxruntime import OnnxDecoder
from cxrscribe_bench.systems.plain_search import PlainSearch, best_of, require_plain
from support.reference_search import Search
from support.small_models import SmallDecoder

Array = NDArray[np.float32]
FEATURES = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@dataclass(frozen=True)
class SmallNetwork:
    """A SmallDecoder as a StepNetwork."""

    decoder: SmallDecoder

    def initial_state(self, features: Array) -> tuple[Array, Array]:
        state = self.decoder.initial_state(features)
        return state.hidden, state.cell

    def step(self, token: NDArray[np.int64], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
        log_probs, state = self.decoder.step(token, State(hidden, cell))
        return log_probs, state.hidden, state.cell


@dataclass(frozen=True)
class Constant:
    """A StepNetwork that always gives the same log-probabilities [V]."""

    log_probs: Array

    def initial_state(self, features: Array) -> tuple[Array, Array]:
        state = np.zeros((1, len(features), 1), np.float32)
        return state, state

    def step(self, token: NDArray[np.int64], hidden: Array, cell: Array) -> tuple[Array, Array, Array]:
        return np.repeat(self.log_probs[None], len(token), axis=0), hidden, cell


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    words=st.integers(5, 9),
    layers=st.integers(1, 2),
    quantum=st.sampled_from([0.0, 0.5, 2.0]),
    beam_width=st.integers(1, 5),
    max_length=st.integers(1, 7),
    batch_size=st.integers(1, 4),
)
def test_reports_are_those_of_the_reference(
    seed: int, words: int, layers: int, quantum: float, beam_width: int, max_length: int, batch_size: int
) -> None:
    decoder = SmallDecoder.random(seed, words, layers, quantum=quantum)
    features = np.random.default_rng(seed).standard_normal((4, 3)).astype(np.float32)
    expected = [
        Search(beam_width, max_length).run(lambda found, row=row: decoder.next_log_probs(row, found))  # type: ignore[misc]
        for row in features
    ]
    peer = PlainSearch(SmallNetwork(decoder), beam_width, max_length, batch_size)
    if all(expected):
        assert peer.decode(features) == [list(found[0].words) for found in expected]
    else:
        with pytest.raises(DecodingError, match="no report"):
            peer.decode(features)


@pytest.mark.parametrize("beam_width", [1, 3, 5])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_reports_are_those_of_our_runtime(fused_bundle: Path, beam_width: int, batch_size: int) -> None:
    peer = PlainSearch(OnnxDecoder(Bundle.open(fused_bundle), 1), beam_width, 9, batch_size)
    with cxrscribe.load(fused_bundle, device="cpu") as reporter:
        reports = reporter.decode_features(FEATURES, BeamSettings(beam_width=beam_width, max_length=9))
    assert peer.decode(FEATURES) == [list(report.tokens) for report in reports]


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 4),
    size=st.integers(5, 200),
    values=st.sampled_from([3, 1000]),
    data=st.data(),
)
def test_best_of_a_row_are_those_of_a_stable_sort(
    seed: int, rows: int, size: int, values: int, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, size))
    scores = np.random.default_rng(seed).integers(0, values, (rows, size)).astype(np.float32)
    scores[scores == 0] = -np.inf
    best, place = best_of(scores, count)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    assert (place == expected).all()
    assert (best == np.take_along_axis(scores, expected, axis=1)).all()


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_network_without_numbers_gives_no_report(value: float) -> None:
    peer = PlainSearch(Constant(np.full(9, value, np.float32)), 3, 5, 2)
    with pytest.raises(DecodingError, match="check the bundle"):
        peer.decode(np.zeros((3, 1), np.float32))


def test_settings_that_peers_do_not_know_are_refused() -> None:
    require_plain(BeamSettings(beam_width=5, max_length=162))
    with pytest.raises(InputError, match="beam_width and max_length only"):
        require_plain(BeamSettings(min_length=3))
    with pytest.raises(InputError, match="decoding='sample'"):
        require_plain(BeamSettings(decoding="sample"))
