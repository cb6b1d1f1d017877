"""The int8 decoder: close to the float32 one, made of int8 kernels, and indifferent to the batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import cxrscribe
from cxrscribe.bundle.contract import beam_init_interface, beam_step_interface
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.embedded import demo_films
from cxrscribe.vocabulary import START
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.fusion import fuse, fuse_initial_state
from cxrscribe_export.graphs.runner import Array, GraphRunner
from cxrscribe_export.precision.decoder_int8 import quantize_beam_step, quantize_initial_state
from support.kernels import kernels
from support.small_bundle import SmallBundle

SMALL = SmallBundle(seed=4, features=20, embedding=16, hidden=32, words=30, fused=True)
WIDTH = 2 * SMALL.layers * SMALL.hidden


@dataclass(frozen=True)
class Decoder:
    """The fused graphs of a random decoder, in float32 and in int8."""

    init: onnx.ModelProto
    step: onnx.ModelProto
    int8_init: onnx.ModelProto
    int8_step: onnx.ModelProto


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    folder = SMALL.write(tmp_path_factory.mktemp("decoder") / "bundle")
    init, step = (onnx.load(folder / name) for name in ("beam_init.onnx", "beam_step.onnx"))
    return Decoder(init, step, quantize_initial_state(init, features(64)), quantize_beam_step(step))


def features(count: int, seed: int = 0) -> Array:
    return np.abs(np.random.default_rng(seed).normal(size=(count, SMALL.features))).astype(np.float32)


def step_inputs(rows: int, places: int, seed: int = 1) -> list[Array]:
    random = np.random.default_rng(seed)
    return [
        random.integers(4, SMALL.words, rows),
        np.arange(rows),
        np.zeros((rows, 1), np.float32),
        np.tanh(random.normal(size=(rows, WIDTH))).astype(np.float32),
        np.zeros((1, SMALL.words), np.float32),
        np.array(places),
    ]


def test_a_trained_decoder_loses_little() -> None:
    """The embedded demo model on its sample films, over twenty words, each step from the state of float32."""
    bundle = cxrscribe.demo_bundle()
    read = Manifest.read(bundle).preprocessing.read
    films = np.stack([read(film) for film in demo_films()])
    batch = GraphRunner(onnx.load(bundle / "encoder.onnx")).run(films)[0]
    init = fuse_initial_state(onnx.load(bundle / "decoder_init.onnx"))
    step = fuse(onnx.load(bundle / "decoder_step.onnx"))
    state, int8_state = (
        GraphRunner(model).run(batch)[0] for model in (init, quantize_initial_state(init, batch))
    )
    assert np.abs(int8_state - state).mean() < 0.01 * state.std()
    runner, int8_runner = GraphRunner(step), GraphRunner(quantize_beam_step(step))
    rows = len(films)
    words = Manifest.read(bundle).architecture.vocabulary_size
    tokens, same = np.full(rows, START), 0
    score, bias = np.zeros((rows, 1), np.float32), np.zeros((1, words), np.float32)
    for _ in range(20):
        inputs = (tokens, np.arange(rows), score, state, bias, np.array(1))
        expected, found = runner.run(*inputs), int8_runner.run(*inputs)
        assert np.abs(found[0][:, 0] - expected[0][:, 0]).max() < 0.3  # the best word's log-probability
        assert np.abs(found[3] - expected[3]).mean() < 0.01 * expected[3].std()
        same += int((found[1][:, 0] == expected[1][:, 0]).sum())
        tokens, state = expected[1][:, 0], expected[3]
    assert same >= 0.95 * 20 * rows


def test_products_are_int8_kernels(decoder: Decoder, tmp_path: Path) -> None:
    check(decoder.int8_step, beam_step_interface(SMALL.layers, SMALL.hidden, SMALL.words))
    check(decoder.int8_init, beam_init_interface(SMALL.features, SMALL.layers, SMALL.hidden))
    found = kernels(decoder.int8_step, tmp_path)
    assert found["QGemm"] == SMALL.layers + 1
    assert found["Gemm"] == found["MatMul"] == 0
    started = kernels(decoder.int8_init, tmp_path)
    assert started["QGemm"] + started["MatMulIntegerToFloat"] >= 2
    assert started["Gemm"] == started["MatMul"] == 0


def test_no_weight_matrix_stays_float32(decoder: Decoder) -> None:
    for model in (decoder.int8_init, decoder.int8_step):
        weights = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer]
        assert not [value.shape for value in weights if value.dtype == np.float32 and value.ndim > 1]


def test_two_products_fit_into_16_bits_as_processors_without_vnni_need(decoder: Decoder) -> None:
    for model in (decoder.int8_init, decoder.int8_step):
        codes = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        weights = [value for name, value in codes.items() if name.endswith(".weight.code")]
        assert len(weights) >= 2
        largest = [
            int(np.abs(value.astype(np.int64)).reshape(len(value) // 2, 2, -1).sum(axis=1).max())
            for value in weights
        ]
        assert 120 <= max(largest) <= 128
        assert 255 * 128 < 2**15


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_row_does_not_depend_on_the_rows_beside_it(decoder: Decoder, data: st.DataObject) -> None:
    rows = 24
    order = np.array(data.draw(st.permutations(range(rows))))
    size = data.draw(st.integers(1, rows))
    step, init = GraphRunner(decoder.int8_step), GraphRunner(decoder.int8_init)
    token, parent, score, state, bias, one = step_inputs(rows, 1)
    whole = step.run(token, parent, score, state, bias, one)
    initial = init.run(features(rows))[0]
    for start in range(0, rows, size):
        part = order[start : start + size]
        found = step.run(token[part], parent[: len(part)], score[part], state[part], bias, one)
        for mine, theirs in zip(found, whole, strict=True):
            np.testing.assert_array_equal(mine, theirs[part])
        np.testing.assert_array_equal(init.run(features(rows)[part])[0], initial[part])
