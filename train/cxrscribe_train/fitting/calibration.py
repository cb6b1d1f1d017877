"""Batch-norm statistics measured on films.

While a network trains, batch norm normalizes with the batch at hand and keeps a running average for later.
That average is noisy after few steps, and for random weights it has never seen a film: a random ResNet then
gives features of 1e4 to 1e6. Measuring the statistics once on films, without changing a weight, repairs
both.
"""

from __future__ import annotations

from collections.abc import Iterable

import paddle

# The second one is the base of BatchNorm1D, 2D and 3D.
_BATCH_NORMS = (paddle.nn.BatchNorm, paddle.nn.BatchNorm2D.__base__)


def batch_norm_layers(network: paddle.nn.Layer) -> list[paddle.nn.Layer]:
    """All batch-norm layers of `network`, in their order."""
    return [layer for layer in network.sublayers(include_self=True) if isinstance(layer, _BATCH_NORMS)]


def calibrate(encoder: paddle.nn.Layer, batches: Iterable[paddle.Tensor]) -> int:
    """Set every batch-norm layer's mean and variance to the average over `batches`.

    Args:
        encoder: takes one element of `batches`; its weights stay as they are, and so does its mode.
        batches: films, uint8 [N, H, W] each; N of 16 or more gives a good variance.

    Returns:
        the number of batches used. Without any batch or batch-norm layer nothing changes.
    """
    layers = batch_norm_layers(encoder)
    if not layers:
        return 0
    was_training = encoder.training
    momenta = [layer._momentum for layer in layers]
    count = 0
    encoder.train()
    try:
        with paddle.no_grad():
            for batch in batches:
                for layer in layers:
                    # running = momentum * running + (1 - momentum) * batch: the plain mean of all batches.
                    layer._momentum = count / (count + 1)
                encoder(batch)
                count += 1
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer._momentum = momentum
        if not was_training:
            encoder.eval()
    return count
