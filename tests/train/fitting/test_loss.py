from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe.vocabulary import PAD
from cxrscribe_train.fitting.loss import TokenLoss, summed_token_loss


def brute_force(logits: np.ndarray, targets: np.ndarray, smoothing: float) -> float:
    """The sum written out token by token and word by word, in float64."""
    total = 0.0
    for scores, target in zip(
        logits.reshape(-1, logits.shape[-1]).astype(float), targets.ravel(), strict=True
    ):
        if target == PAD:
            continue
        log_sum = math.log(sum(math.exp(score) for score in scores))
        for word, score in enumerate(scores):
            weight = (1 - smoothing) * (word == target) + smoothing / len(scores)
            total -= weight * (score - log_sum)
    return total


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(2, 7),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.integers(0, 999),
)
def test_masked_loss_equals_brute_force(
    reports: int, length: int, words: int, smoothing: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(reports, length, words)).astype(np.float32)
    targets = rng.integers(0, words, (reports, length))
    loss = float(summed_token_loss(paddle.to_tensor(logits), paddle.to_tensor(targets), smoothing))
    assert loss == pytest.approx(brute_force(logits, targets, smoothing), abs=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_padding_gets_no_gradient(smoothing: float) -> None:
    logits = paddle.randn([2, 3, 5])
    logits.stop_gradient = False
    targets = paddle.to_tensor(np.array([[4, 2, PAD], [2, PAD, PAD]]))
    summed_token_loss(logits, targets, smoothing).backward()
    gradient = logits.grad.numpy()
    assert np.all(gradient[targets.numpy() == PAD] == 0)
    assert np.all(np.abs(gradient[targets.numpy() != PAD]).sum(-1) > 0)


def test_the_mean_weighs_tokens_not_batches() -> None:
    assert (TokenLoss(10.0, 10) + TokenLoss(2.0, 1)).mean == pytest.approx(12 / 11)
    assert math.isnan(TokenLoss().mean)
