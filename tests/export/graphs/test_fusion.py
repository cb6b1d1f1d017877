"""The fused step, held against the canonical step followed by the same choice in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest

from cxrscribe.bundle.contract import beam_init_interface, beam_step_interface
from cxrscribe.errors import BundleError
from cxrscribe.search.expander import Frontier
from cxrscribe.search.step_expander import best_candidates
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.decoder_weights import DecoderWeights
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state
from cxrscribe_export.graphs.runner import GraphRunner
from support.small_bundle import SmallBundle


@dataclass(frozen=True)
class Pair:
    """One decoder, fused and not."""

    step: GraphRunner
    fused: GraphRunner
    layers: int
    hidden: int
    words: int


@pytest.fixture(params=[1, 2, 3], ids="{} layers".format)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair:
    small = SmallBundle(seed=3, layers=request.param, words=30)
    step = onnx.load(small.write(tmp_path / "bundle") / "decoder_step.onnx")
    fused = fuse(step)
    check(fused, beam_step_interface(small.layers, small.hidden, small.words))
    return Pair(GraphRunner(step), GraphRunner(fused), small.layers, small.hidden, small.words)


@pytest.mark.parametrize(("images", "width"), [(1, 1), (1, 5), (4, 3), (7, 20)])
def test_candidates_and_states_are_those_of_the_step(pair: Pair, images: int, width: int) -> None:
    random = np.random.default_rng(images)
    rows = images * width
    state = np.tanh(random.normal(size=(rows + 2, 2 * pair.layers * pair.hidden))).astype(np.float32)
    parent = random.integers(0, len(state), rows)
    token = random.integers(0, pair.words, rows)
    score = -random.random((images, width)).astype(np.float32)
    score[:, 2:] = -np.inf
    bias = np.where(random.random((rows, pair.words)) < 0.2, -np.inf, 0).astype(np.float32)

    parts = state[parent].reshape(rows, 2, pair.layers, pair.hidden).transpose(1, 2, 0, 3)
    log_probs, hidden, cell = pair.step.run(token, *np.ascontiguousarray(parts))
    wanted = best_candidates(log_probs, Frontier(token, parent, score, bias))
    got_score, index, token_log_prob, state_out = pair.fused.run(
        token, parent, score.reshape(rows, 1), state, bias, np.array(width)
    )

    there = wanted.score > -np.inf
    assert (index[there] == wanted.index[there]).all()
    assert (got_score > -np.inf).tolist() == there.tolist()
    np.testing.assert_allclose(got_score, wanted.score, atol=2e-6)
    np.testing.assert_allclose(token_log_prob[there], wanted.token_log_prob[there], atol=2e-6)
    out = np.stack((hidden, cell)).transpose(2, 0, 1, 3).reshape(rows, -1)
    np.testing.assert_allclose(state_out, out, atol=2e-6)


def test_equal_candidates_come_by_lower_index(pair: Pair) -> None:
    bias = np.zeros((1, pair.words), np.float32)
    state = np.zeros((3, 2 * pair.layers * pair.hidden), np.float32)
    equal = np.zeros(3, np.int64)  # three rows, one like the other
    score, index, *_ = pair.fused.run(equal, equal, np.zeros((3, 1), np.float32), state, bias, np.array(3))
    assert score[0, 0] == score[0, 1] == score[0, 2]
    assert np.diff(index[0, :3]).tolist() == [pair.words] * 2


def test_nan_marks_all_candidates_of_its_image_and_no_other(pair: Pair) -> None:
    state = np.zeros((4, 2 * pair.layers * pair.hidden), np.float32)
    state[2, 0] = np.nan
    rows = np.arange(4)
    score = np.zeros((4, 1), np.float32)
    bias = np.zeros((1, pair.words), np.float32)
    candidate_score, *_ = pair.fused.run(rows, rows, score, state, bias, np.array(2))
    assert np.isnan(candidate_score).tolist() == [[False] * 4, [True] * 4]


def test_candidates_are_all_there_are_where_a_beam_is_wider_than_half_the_vocabulary(pair: Pair) -> None:
    state = np.zeros((1, 2 * pair.layers * pair.hidden), np.float32)
    one = np.zeros(1, np.int64)
    bias = np.zeros((1, pair.words), np.float32)
    score, *_ = pair.fused.run(one, one, np.zeros((1, 1), np.float32), state, bias, np.array(1))
    assert score.shape == (1, 2)


def test_weights_are_read_back(tmp_path: Path) -> None:
    small = SmallBundle(layers=2)
    weights = DecoderWeights.read(onnx.load(small.write(tmp_path / "bundle") / "decoder_step.onnx"))
    assert weights.embedding.shape == (small.words, small.embedding)
    assert [layer.input.shape[0] for layer in weights.layers] == [small.embedding, small.hidden]
    assert all(layer.hidden.shape == (small.hidden, 4 * small.hidden) for layer in weights.layers)
    assert weights.output.shape == (small.hidden, small.words)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [("Tanh", "doesn't go through"), ("LogSoftmax", "doesn't come from"), ("Split", "no LSTM cell")],
)
def test_a_step_of_another_kind_is_refused(tmp_path: Path, wrong: str, problem: str) -> None:
    step = onnx.load(SmallBundle().write(tmp_path / "bundle") / "decoder_step.onnx")
    for node in step.graph.node:
        if node.op_type == wrong:
            node.op_type = "Relu"
    with pytest.raises(BundleError, match=problem):
        fuse(step)


def test_initial_rows_are_the_initial_states(tmp_path: Path) -> None:
    small = SmallBundle(layers=2)
    init = onnx.load(small.write(tmp_path / "bundle") / "decoder_init.onnx")
    fused = fuse_initial_state(init)
    check(fused, beam_init_interface(small.features, small.layers, small.hidden))
    features = np.random.default_rng(0).normal(size=(4, small.features)).astype(np.float32)
    hidden, cell = GraphRunner(init).run(features)
    (state,) = GraphRunner(fused).run(features)
    assert (state == np.concatenate((*hidden, *cell), axis=1)).all()
