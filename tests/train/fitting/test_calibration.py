from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.films.preprocess import Preprocessing
from cxrscribe_models import FilmEncoder
from cxrscribe_train.fitting.calibration import batch_norm_layers, calibrate
from cxrscribe_train.weights import WeightsSource, build_encoder, state_arrays


@pytest.fixture
def encoder() -> FilmEncoder:
    return build_encoder("resnet18", {}, Preprocessing(32, 32), WeightsSource.parse("random:0"))


def films(count: int) -> list[paddle.Tensor]:
    rng = np.random.default_rng(0)
    return [paddle.to_tensor(rng.integers(0, 256, (8, 32, 32), dtype=np.uint8)) for _ in range(count)]


def test_random_weights_give_features_of_unit_scale(encoder: FilmEncoder) -> None:
    batches = films(2)
    assert calibrate(encoder, batches) == 2
    encoder.eval()
    with paddle.no_grad():
        features = encoder(batches[0]).numpy()
    assert 0.1 < float(np.sqrt((features**2).mean())) < 10


def test_statistics_are_the_mean_over_all_batches(encoder: FilmEncoder) -> None:
    first_layer, batches = batch_norm_layers(encoder)[0], films(3)
    means = []
    for batch in batches:
        calibrate(encoder, [batch])
        means.append(first_layer._mean.numpy())
    calibrate(encoder, batches)
    np.testing.assert_allclose(first_layer._mean.numpy(), np.mean(means, axis=0), rtol=1e-4, atol=1e-6)


def test_weights_mode_and_momentum_stay(encoder: FilmEncoder) -> None:
    encoder.eval()
    layer = batch_norm_layers(encoder)[0]
    before, momentum = state_arrays(encoder), layer._momentum
    calibrate(encoder, films(1))
    changed = {
        name for name, value in state_arrays(encoder).items() if not np.array_equal(value, before[name])
    }
    assert changed
    assert all(name.endswith(("_mean", "_variance")) for name in changed)
    assert not encoder.training
    assert layer._momentum == momentum


def test_the_older_batch_norm_counts_too() -> None:
    network = paddle.nn.Sequential(paddle.nn.Conv2D(1, 2, 3), paddle.nn.BatchNorm(2))
    assert len(batch_norm_layers(network)) == 1
    assert calibrate(network, [paddle.randn([4, 1, 8, 8]) + 5.0]) == 1
    assert np.abs(network[1]._mean.numpy()).max() > 0


def test_nothing_happens_without_batches(encoder: FilmEncoder) -> None:
    before = state_arrays(encoder)
    assert calibrate(encoder, []) == 0
    assert all(np.array_equal(value, before[name]) for name, value in state_arrays(encoder).items())
