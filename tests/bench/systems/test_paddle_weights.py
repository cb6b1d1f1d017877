"""Paddle's networks, rebuilt from a bundle, compute what its graphs compute."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import cxrscribe
from cxrscribe.bundle.bundle import Bundle
from cxrscribe.errors import BundleError
from cxrscribe_bench.systems.plain_onnxruntime import OnnxDecoder, OnnxEncoder

pytest.importorskip("paddle")
pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open(cxrscribe.demo_bundle())


def test_encoder_gives_the_features_of_the_graph(bundle: Bundle) -> None:
    import paddle

    from cxrscribe_bench.systems.paddle_weights import encoder_of

    preprocessing = bundle.manifest.preprocessing
    pictures = np.stack([preprocessing.read(film) for film in cxrscribe.demo_films()])
    with paddle.no_grad():
        features = encoder_of(bundle)(paddle.to_tensor(pictures)).numpy()
    np.testing.assert_allclose(features, OnnxEncoder(bundle, 1)(pictures), atol=1e-5)


def test_decoder_gives_the_log_probs_of_the_graphs(bundle: Bundle) -> None:
    import paddle

    from cxrscribe_bench.systems.paddle_weights import decoder_of

    decoder, graphs = decoder_of(bundle), OnnxDecoder(bundle, 1)
    shape = (3, bundle.manifest.architecture.feature_size)
    features = np.random.default_rng(0).random(shape, dtype=np.float32)
    token = np.array([1, 7, 9])
    with paddle.no_grad():
        state = decoder.initial_state(paddle.to_tensor(features))
        found = [value.numpy() for value in decoder.step(paddle.to_tensor(token), *state)]
    expected = graphs.step(token, *graphs.initial_state(features))
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)


def test_missing_weights_are_named(bundle: Bundle, tmp_path: Path) -> None:
    import onnx

    from cxrscribe_bench.systems.paddle_weights import encoder_of
    from support.small_bundle import edit_graph

    def rename(model: onnx.ModelProto) -> None:
        for part in (model.graph.initializer, model.graph.node):
            for each in part:
                if isinstance(each, onnx.TensorProto) and each.name.endswith("conv1.0.weight"):
                    each.name = "constant_9999"
                elif isinstance(each, onnx.NodeProto):
                    names = ["constant_9999" if n.endswith("conv1.0.weight") else n for n in each.input]
                    each.input[:] = names

    copy = tmp_path / "bundle"
    shutil.copytree(cxrscribe.demo_bundle(), copy)
    edit_graph(copy, "encoder.onnx", rename)
    with pytest.raises(BundleError, match=r"encoder\.onnx: 1 weights .* backbone\.network\.conv1\.0\.weight"):
        encoder_of(Bundle.open(copy))
