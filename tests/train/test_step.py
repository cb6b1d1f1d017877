from __future__ import annotations

import numpy as np
import paddle
import pytest

from cxrscribe.bundle.architecture import Architecture
from cxrscribe.vocabulary import START
from cxrscribe_models import ReportDecoder
from cxrscribe_train.fitting.network import initialize
from cxrscribe_train.step import PaddleStep

FEATURES, WORDS, LAYERS, HIDDEN = 6, 9, 2, 5


@pytest.fixture
def decoder() -> ReportDecoder:
    paddle.seed(0)
    return ReportDecoder(Architecture("any", {}, FEATURES, 4, HIDDEN, LAYERS, WORDS, dropout=0.5))


def test_stepping_gives_what_teacher_forcing_gives(decoder: ReportDecoder) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(3, FEATURES)).astype(np.float32)
    tokens = np.concatenate([np.full((3, 1), START), rng.integers(4, WORDS, (3, 4))], axis=1)
    step = PaddleStep(decoder)  # without dropout from here on
    with paddle.no_grad():
        logits = decoder(paddle.to_tensor(features), paddle.to_tensor(tokens))
        wanted = paddle.nn.functional.log_softmax(logits, axis=-1).numpy()
    state = step.initial_state(features)
    assert state.hidden.shape == state.cell.shape == (LAYERS, 3, HIDDEN)
    for place in range(tokens.shape[1]):
        log_probs, state = step.step(tokens[:, place], state)
        np.testing.assert_allclose(log_probs, wanted[:, place], atol=1e-5)


def test_log_probs_are_rounded_once(decoder: ReportDecoder) -> None:
    step = PaddleStep(decoder)
    state = step.initial_state(np.ones((50, FEATURES), np.float32))
    tokens = np.arange(50) % WORDS
    log_probs, _ = step.step(tokens, state)
    assert log_probs.dtype == np.float32
    with paddle.no_grad():
        arrays = (tokens, state.hidden, state.cell)
        logits, _, _ = decoder.step_logits(*(paddle.to_tensor(array) for array in arrays))
    exact = logits.numpy().astype(np.float64)
    exact -= np.log(np.exp(exact).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(log_probs, exact, rtol=1.2e-7, atol=0)  # 2 ** -23


def test_words_and_films_start_with_vectors_of_like_size() -> None:
    paddle.seed(0)
    decoder = ReportDecoder(Architecture("any", {}, 256, 64, HIDDEN, LAYERS, 400))
    initialize(decoder)
    words = decoder.embedding.weight.numpy()
    assert words.std() == pytest.approx(1.0, rel=0.05)
    # Two films whose features share a common part and differ by a fifth of it.
    rng = np.random.default_rng(0)
    common = np.abs(rng.normal(size=(1, 256)))
    films = common + 0.2 * rng.normal(size=(200, 256))
    projected = decoder.image_projection(paddle.to_tensor(films, "float32")).numpy()
    assert (projected - projected.mean(0)).std() == pytest.approx(words.std(), rel=0.2)
