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
        label_smoothing: the share of each target's probability that is spread over all words.
            `paddle.nn.functional.cross_entropy` can't smooth and ignore padding at once.
        weights: float32 [N, T], or [W], how often each target counts; None for once.

    Returns:
        float32, rank 0.
    """
    if label_smoothing == 0.0 and weights is None:
        return F.cross_entropy(logits, targets, ignore_index=PAD, reduction="sum")
    # By what Paddle has: the gradients of log_softmax and a pick take thirty times as long.
    losses = F.cross_entropy(logits, targets, ignore_index=PAD, reduction="none")  # [N, T], 0 for padding
    if label_smoothing:
        real = paddle.cast(targets != PAD, logits.dtype)
        of_all_words = real * (paddle.logsumexp(logits, axis=-1) - logits.mean(-1))
        losses = (1.0 - label_smoothing) * losses + label_smoothing * of_all_words
    return losses.sum() if weights is None else (losses * weights).sum()
