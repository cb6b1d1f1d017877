"""The int8 encoder: close to the float32 one, made of int8 kernels, and indifferent to the batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cxrscribe
from cxrscribe.bundle.contract import encoder_interface
from cxrscribe.bundle.manifest import Manifest
from cxrscribe.embedded import demo_films
from cxrscribe_export.graphs.checked_graph import check
from cxrscribe_export.graphs.runner import GraphRunner
from cxrscribe_export.precision.encoder_int8 import quantize_encoder
from cxrscribe_train.phantom.corpus import sampled_corpus
from cxrscribe_train.phantom.drawing.film import draw_film
from support.kernels import kernels
from support.random_networks import Exported, random_films
from support.small_convolutions import FEATURES, SIDE, small_encoder, small_films

FILMS = 24


@pytest.fixture(scope="module")
def pair() -> tuple[GraphRunner, GraphRunner]:
    """The small encoder in float32 and in int8."""
    model = small_encoder()
    return GraphRunner(model), GraphRunner(quantize_encoder(model, small_films(FILMS, seed=1)))


def test_features_of_films_that_it_was_not_calibrated_on_are_close(
    pair: tuple[GraphRunner, GraphRunner],
) -> None:
    expected, found = (runner.run(small_films(FILMS, seed=2))[0] for runner in pair)
    error = np.sqrt(np.mean((found - expected) ** 2))
    assert error < 0.05 * expected.std()


def test_convolutions_sums_and_pooling_are_int8_kernels(tmp_path: Path) -> None:
    model = quantize_encoder(small_encoder(), small_films(FILMS))
    check(model, encoder_interface(SIDE, SIDE, FEATURES))
    found = kernels(model, tmp_path)
    assert found["QLinearConv"] == 5
    assert found["QLinearAdd"] == 1
    assert found["QLinearConcat"] == 1
    assert found["Conv"] == found["NhwcFusedConv"] == found["FusedConv"] == 0


def test_the_film_goes_into_the_first_convolution_as_bytes(exported: Exported) -> None:
    model = quantize_encoder(exported.graphs[0].model, random_films(FILMS, seed=3))
    kinds = [node.op_type for node in model.graph.node]
    before = kinds[: kinds.index("Conv")]
    assert not {"Cast", "Mul", "Add", "Sub", "QuantizeLinear"}.intersection(before)


def test_a_backbone_of_paddle_becomes_int8_throughout(exported: Exported, tmp_path: Path) -> None:
    graph = exported.graphs[0]
    model = quantize_encoder(graph.model, random_films(FILMS, seed=3))
    check(model, graph.interface)
    assert kernels(model, tmp_path)["QLinearConv"] == 27


def test_a_trained_encoder_loses_little() -> None:
    bundle = cxrscribe.demo_bundle()
    read = Manifest.read(bundle).preprocessing.read
    drawn = np.stack([read(draw_film(recipe.findings, 1)) for recipe in sampled_corpus(16, seed=8).recipes])
    films = np.stack([read(film) for film in demo_films()])
    model = onnx.load(bundle / "encoder.onnx")
    expected, found = (GraphRunner(each).run(films)[0] for each in (model, quantize_encoder(model, drawn)))
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.06 * expected.std()


def test_weights_take_a_quarter(exported: Exported) -> None:
    graph = exported.graphs[0]
    model = quantize_encoder(graph.model, random_films(2))
    # Names, scales and biases count in a network as small as this one.
    assert model.ByteSize() < 0.45 * graph.model.ByteSize()


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_features_do_not_depend_on_the_batch(
    pair: tuple[GraphRunner, GraphRunner], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(FILMS)))
    size = data.draw(st.integers(1, FILMS))
    films = small_films(FILMS, seed=2)
    whole = pair[1].run(films)[0]
    parts = [pair[1].run(films[order[start : start + size]])[0] for start in range(0, FILMS, size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole[order])
