"""The step must compute what the trained LSTM computes, row by row and layer by layer."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.architecture import Architecture
from cxrscribe_models import ReportDecoder


def decoder_of(layers: int) -> ReportDecoder:
    paddle.seed(layers)
    decoder = ReportDecoder(
        Architecture(
            backbone="resnet18",
            backbone_options={},
            feature_size=7,
            embedding_size=5,
            hidden_size=6,
            layers=layers,
            vocabulary_size=11,
            dropout=0.3,
        )
    )
    decoder.eval()
    return decoder


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_steps_give_what_teacher_forcing_gives(layers: int) -> None:
    decoder = decoder_of(layers)
    features = paddle.randn([4, 7])
    tokens = paddle.randint(0, 11, [4, 9])
    expected = paddle.nn.functional.log_softmax(decoder(features, tokens), axis=-1).numpy()

    hidden, cell = decoder.initial_state(features)
    for place in range(9):
        log_probs, hidden, cell = decoder.step(tokens[:, place], hidden, cell)
        np.testing.assert_allclose(log_probs.numpy(), expected[:, place], atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_layers_state_is_that_of_the_lstm(layers: int) -> None:
    decoder = decoder_of(layers)
    features = paddle.randn([3, 7])
    tokens = paddle.randint(0, 11, [3, 4])
    image = paddle.unsqueeze(decoder.image_projection(features), 1)
    inputs = paddle.concat([image, decoder.embedding(tokens)], axis=1)
    _, (expected_hidden, expected_cell) = decoder.lstm(inputs)

    hidden, cell = decoder.initial_state(features)
    for place in range(4):
        _, hidden, cell = decoder.step(tokens[:, place], hidden, cell)
    np.testing.assert_allclose(hidden.numpy(), expected_hidden.numpy(), atol=1e-6)
    np.testing.assert_allclose(cell.numpy(), expected_cell.numpy(), atol=1e-6)


def test_dropout_is_off_in_evaluation() -> None:
    decoder = decoder_of(2)
    features, tokens = paddle.randn([2, 7]), paddle.randint(0, 11, [2, 3])
    np.testing.assert_array_equal(decoder(features, tokens).numpy(), decoder(features, tokens).numpy())
