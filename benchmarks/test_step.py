"""How long one step of the decoder takes: fused with the search's choice of candidates, and plain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from cxrscribe.bundle.bundle import Bundle, GraphSource
from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, DECODER_INIT, DECODER_STEP
from cxrscribe.bundle.files import FP32
from cxrscribe.networks.fused_step import FusedDecoder
from cxrscribe.networks.onnx_step import OnnxStep
from cxrscribe.search.expander import Candidates, Frontier
from cxrscribe.search.step_expander import StepExpander
from cxrscribe.sessions.device import Role
from cxrscribe.sessions.factory import SessionFactory, WantedGraph
from cxrscribe.sessions.session import Session
from cxrscribe.vocabulary import START

WIDTH = 5
ROWS = (5, 50, 160)


def two_graphs(bundle: Bundle, *names: str) -> list[Session]:
    wanted = [WantedGraph(GraphSource(bundle, name, FP32), Role.DECODER) for name in names]
    return SessionFactory("cpu").open(wanted)


@pytest.fixture(scope="module")
def fused(bundle: Bundle, plain: OnnxStep) -> FusedDecoder:
    if not bundle.has_graph(BEAM_STEP, FP32):
        pytest.skip("this bundle has no fused graphs")
    init, step = two_graphs(bundle, BEAM_INIT, BEAM_STEP)
    return FusedDecoder(init, step, bundle.manifest.architecture, plain.step_model)


@pytest.fixture(scope="module")
def plain(bundle: Bundle) -> OnnxStep:
    init, step = two_graphs(bundle, DECODER_INIT, DECODER_STEP)
    return OnnxStep(init, step, bundle.manifest.architecture)


def frontier_of(rows: int, words: int) -> Frontier:
    """All images are at work: each of their rows has a hypothesis of its own."""
    images = rows // WIDTH
    score = -np.arange(rows, dtype=np.float32).reshape(images, WIDTH) % WIDTH
    parent = np.repeat(np.arange(images), WIDTH) * WIDTH
    return Frontier(np.full(rows, START, np.int64), parent, score, np.zeros((1, words), np.float32))


def first_frontier(rows: int, words: int) -> Frontier:
    """The same where images have just entered: one state each, in order."""
    usual = frontier_of(rows, words)
    return Frontier(usual.token, usual.parent // WIDTH, usual.score, usual.bias)


@pytest.mark.benchmark(group="step")
@pytest.mark.parametrize("rows", ROWS)
def test_fused_step(
    benchmark: BenchmarkFixture,
    fused: FusedDecoder,
    plain: OnnxStep,
    bundle: Bundle,
    rows: int,
    features: NDArray[np.float32],
) -> None:
    words = bundle.manifest.architecture.vocabulary_size
    expander = fused.expander(0)
    started = StepExpander(plain)
    for each in (expander, started):
        each.enqueue(features[: rows // WIDTH])
        each.admit(rows // WIDTH)
    first = first_frontier(rows, words)
    wanted, found = started.expand(first), expander.expand(first)
    assert found.score.shape == (rows // WIDTH, 2 * WIDTH)
    np.testing.assert_allclose(found.score, wanted.score, atol=1e-3)  # places may differ where two are close

    frontier = frontier_of(rows, words)
    step: Callable[[Frontier], Candidates] = expander.expand
    candidates = benchmark(step, frontier)
    assert (np.diff(candidates.score, axis=1) <= 0).all()
    assert expander.rows == rows


@pytest.mark.benchmark(group="step")
@pytest.mark.parametrize("rows", ROWS)
def test_decoder_step_alone(
    benchmark: BenchmarkFixture, plain: OnnxStep, bundle: Bundle, rows: int, features: NDArray[np.float32]
) -> None:
    state = plain.initial_state(features[: rows // WIDTH]).take(np.arange(rows) // WIDTH)
    tokens = np.full(rows, START, np.int64)
    log_probs, after = benchmark(plain.step, tokens, state)
    assert log_probs.shape == (rows, bundle.manifest.architecture.vocabulary_size)
    assert len(after) == rows
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-4)
