"""AdamW as a training uses it."""

from __future__ import annotations

from typing import Final

import paddle

from cxrscribe_train.fitting.config import FitConfig

_BETA1: Final = 0.9
_BETA2: Final = 0.999


def adamw(
    fit: FitConfig, schedule: paddle.optimizer.lr.LRScheduler, network: paddle.nn.Layer
) -> paddle.optimizer.Optimizer:
    """The optimizer of all parameters of `network` at the rates of `schedule`."""
    # Biases and batch-norm scales are vectors; pulling them to zero would not make the function simpler.
    decayed = {parameter.name for parameter in network.parameters() if len(parameter.shape) > 1}
    return paddle.optimizer.AdamW(
        learning_rate=schedule,
        beta1=_BETA1,
        beta2=_BETA2,
        parameters=network.parameters(),
        weight_decay=fit.weight_decay,
        apply_decay_param_fun=lambda name: name in decayed,
        grad_clip=paddle.nn.ClipGradByGlobalNorm(fit.clip_norm),
    )


def forget_moments(optimizer: paddle.optimizer.Optimizer) -> None:
    """Let AdamW begin anew: its moments are 0, and the powers of its betas the first ones."""
    for name, value in optimizer.state_dict().items():
        if isinstance(value, paddle.Tensor):
            first = _BETA1 if "beta1_pow" in name else _BETA2 if "beta2_pow" in name else 0.0
            value.set_value(paddle.full_like(value, first))
