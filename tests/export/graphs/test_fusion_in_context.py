"""The fused step of a model with a context: gates ride in the rows, at fp32 and at int8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.bundle.contract import BEAM_INIT, BEAM_STEP, decoder_interfaces
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.errors import BundleError
from cxrscribe.search.expander import Frontier
from cxrscribe.search.step_expander import best_candidates
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.decoder_weights import DecoderWeights
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.decoder_int8 import quantize_beam_step, quantize_initial_state
from support.small_bundle import SmallBundle

SMALL = SmallBundle(seed=3, layers=2, words=30, patient=5)
CELLS = 2 * SMALL.layers * SMALL.hidden
WIDTH = CELLS + 4 * SMALL.hidden


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SMALL.write(tmp_path_factory.mktemp("context") / "bundle")


@pytest.fixture(scope="module")
def step(bundle: Path) -> onnx.ModelProto:
    return onnx.load(bundle / "decoder_step.onnx")


@pytest.fixture(scope="module", params=["fp32", "int8"])
def fused(request: pytest.FixtureRequest, step: onnx.ModelProto) -> GraphRunner:
    model = fuse(step)
    return GraphRunner(model if request.param == "fp32" else quantize_beam_step(model))


def states(rows: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    cells = np.tanh(random.normal(size=(rows, CELLS)))
    return np.hstack((cells, random.normal(size=(rows, WIDTH - CELLS)))).astype(np.float32)


def inputs(rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    token, parent = random.integers(0, SMALL.words, rows), random.integers(0, rows + 2, rows)
    return token, parent, -random.random((rows, 1), np.float32)


def test_graphs_keep_to_their_interfaces(bundle: Path, step: onnx.ModelProto) -> None:
    interfaces = decoder_interfaces(Manifest.read(bundle).architecture)
    init = fuse_initial_state(onnx.load(bundle / "decoder_init.onnx"))
    check(fuse(step), interfaces[BEAM_STEP])
    check(init, interfaces[BEAM_INIT])
    starts = np.random.default_rng(0).normal(size=(9, SMALL.features + SMALL.patient)).astype(np.float32)
    check(quantize_beam_step(fuse(step)), interfaces[BEAM_STEP])
    check(quantize_initial_state(init, starts), interfaces[BEAM_INIT])


@pytest.mark.parametrize(("images", "width"), [(1, 1), (4, 3), (7, 20)])
def test_candidates_and_states_are_those_of_the_step(step: onnx.ModelProto, images: int, width: int) -> None:
    rows = images * width
    state = states(rows + 2)
    token, parent, score = inputs(rows)
    bias = np.zeros((1, SMALL.words), np.float32)
    parts = state[parent, :CELLS].reshape(rows, 2, SMALL.layers, SMALL.hidden).transpose(1, 2, 0, 3)
    context = np.ascontiguousarray(state[parent, CELLS:])
    log_probs, hidden, cell = GraphRunner(step).run(token, *np.ascontiguousarray(parts), context)
    frontier = Frontier(token, parent, score.reshape(images, width), bias)
    wanted = best_candidates(log_probs, frontier)

    found, index, own, state_out = GraphRunner(fuse(step)).run(
        token, parent, score, state, bias, np.array(width)
    )
    assert (index == wanted.index).all()
    np.testing.assert_allclose(found, wanted.score, atol=4e-6)
    np.testing.assert_allclose(own, wanted.token_log_prob, atol=4e-6)
    cells = np.stack((hidden, cell)).transpose(2, 0, 1, 3).reshape(rows, -1)
    np.testing.assert_allclose(state_out[:, :CELLS], cells, atol=4e-6)


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_gates_go_on_to_the_bit_and_rows_do_not_depend_on_each_other(
    fused: GraphRunner, data: st.DataObject
) -> None:
    rows = 20
    state = states(rows + 2, seed=data.draw(st.integers(0, 5)))
    token, parent, score = inputs(rows)
    bias = np.zeros((1, SMALL.words), np.float32)
    one = np.array(1)
    whole = fused.run(token, parent, score, state, bias, one)
    assert whole[3][:, CELLS:].tobytes() == state[parent, CELLS:].tobytes()
    part = np.array(data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=rows)))
    alone = fused.run(token[part], parent[part], score[part], state, bias, one)
    for each, own in zip(whole, alone, strict=True):
        assert each[part].tobytes() == own.tobytes()


def test_other_gates_give_other_words(fused: GraphRunner) -> None:
    state = states(2)
    state[1, :CELLS] = state[0, :CELLS]
    token, bias = np.zeros(2, np.int64), np.zeros((1, SMALL.words), np.float32)
    score, *_ = fused.run(token, np.arange(2), np.zeros((2, 1), np.float32), state, bias, np.array(1))
    assert abs(score[0, 0] - score[1, 0]) > 1e-3


def test_weights_of_both_kinds_are_read_back(step: onnx.ModelProto, tmp_path: Path) -> None:
    bare = SmallBundle(seed=3, layers=2, words=30).write(tmp_path / "bare")
    assert DecoderWeights.read(step).gates_size == 4 * SMALL.hidden
    assert DecoderWeights.read(onnx.load(bare / "decoder_step.onnx")).gates_size == 0


def test_a_context_on_another_layer_is_refused(bundle: Path) -> None:
    step = onnx.load(bundle / "decoder_step.onnx")
    first, second = [node for node in step.graph.node if node.op_type == "Split"]
    first.input[0], second.input[0] = second.input[0], first.input[0]
    with pytest.raises(BundleError, match="other gates than the first layer's"):
        fuse(step)
