"""Where the weights of a report network start."""

from __future__ import annotations

import numpy as np
import paddle

from cxrscribe.bundle.architecture import Architecture
from cxrscribe_models import ReportDecoder
from cxrscribe_train.fitting.network import initialize


def small_decoder() -> ReportDecoder:
    paddle.seed(0)
    return ReportDecoder(
        Architecture(
            backbone="resnet18",
            backbone_options={},
            feature_size=40,
            embedding_size=64,
            hidden_size=8,
            layers=1,
            vocabulary_size=50,
        )
    )


def test_the_projection_starts_by_standardizing_the_features() -> None:
    generator = np.random.default_rng(1)
    own = generator.normal(size=(500, 40)) * generator.uniform(0.01, 0.03, 40)
    features = (own + generator.uniform(0.0, 9.0, 40)).astype(np.float32)
    decoder = small_decoder()
    initialize(decoder, features)
    image = decoder.image_projection(paddle.to_tensor(features)).numpy()
    np.testing.assert_allclose(image.mean(axis=0), 0.0, atol=0.02)
    assert 0.9 < image.std() < 1.1
    assert 0.9 < float(decoder.embedding.weight.std()) < 1.1


def test_a_feature_that_never_changes_is_no_division_by_zero() -> None:
    features = np.random.default_rng(2).normal(size=(50, 40)).astype(np.float32)
    features[:, 3] = 7.0
    decoder = small_decoder()
    initialize(decoder, features)
    assert np.isfinite(decoder.image_projection(paddle.to_tensor(features)).numpy()).all()
