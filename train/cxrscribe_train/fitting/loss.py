"""Cross-entropy over the real tokens of a report: padding neither counts nor teaches."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F  # noqa: N812  (the name the whole field uses)

from cxrscribe.vocabulary import PAD


@dataclass(frozen=True)
class TokenLoss:
    """A sum of token losses (natural logarithm) and the number of tokens behind it, weighted alike."""

    total: float = 0.0
    tokens: float = 0

    def __add__(self, other: TokenLoss) -> TokenLoss:
        return TokenLoss(self.total + other.total, self.tokens + other.tokens)

    @property
    def mean(self) -> float:
        """Loss a token; NaN when there is none."""
        return self.total / self.tokens if self.tokens else float("nan")


def summed_token_loss(
    logits: paddle.Tensor,
    targets: paddle.Tensor,
    label_smoothing: float = 0.0,
    weights: paddle.Tensor | None = None,
) -> paddle.Tensor:
    """Sum of the cross-entropy over all targets that are not `<pad>`.

    Args:
        logits: float32 [N, T, V], or [W, V] of single words.
        targets: int64 [N, T], or [W].
        label_smoothing: the share of each target's probability that is spread over all words. Written out
            here, as `paddle.nn.functional.cross_entropy` can't smooth and ignore padding at once.
        weights: float32 [N, T], or [W], how often each target counts; None for once.

    Returns:
        float32, rank 0.
    """
    if label_smoothing == 0.0 and weights is None:
        return F.cross_entropy(logits, targets, ignore_index=PAD, reduction="sum")
    real = paddle.cast(targets != PAD, logits.dtype)  # [N, T]
    if weights is not None:
        real = real * weights
    log_probs = F.log_softmax(logits, axis=-1)
    of_target = paddle.take_along_axis(log_probs, paddle.unsqueeze(targets, -1), axis=-1, broadcast=False)
    smoothed = (1.0 - label_smoothing) * paddle.squeeze(of_target, -1) + label_smoothing * log_probs.mean(-1)
    return -(smoothed * real).sum()
