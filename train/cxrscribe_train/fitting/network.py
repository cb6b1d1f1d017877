"""What is trained: the decoder alone on features, or encoder and decoder on films."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe_models import FilmEncoder, ReportDecoder
from cxrscribe_train.fitting.hints import FeatureHints, MemoryHints

# Pooled features have much in common and little that is one film's own. The projection starts this many times
# larger than for features without a common part, so that the little is as large as a word's vector.
_IMAGE_GAIN: Final = 5.0
_LEAST_DEVIATION: Final = 0.1


class ReportNetwork(paddle.nn.Layer):
    """Encoder inputs and tokens -> logits. Without `encoder` the inputs are features float32 [N, F].

    The hints teach encoder and decoder to look; they are no part of the model that is kept.
    """

    def __init__(
        self,
        decoder: ReportDecoder,
        encoder: FilmEncoder | None = None,
        feature_hints: FeatureHints | None = None,
        memory_hints: MemoryHints | None = None,
    ) -> None:
        super().__init__()
        self.decoder = decoder
        self.encoder = encoder
        self.feature_hints = feature_hints
        self.memory_hints = memory_hints

    def features(self, inputs: paddle.Tensor) -> paddle.Tensor:
        """Features float32 [N, F] of films uint8 [N, H, W]; features stay as they are."""
        return inputs if self.encoder is None else self.encoder(inputs)

    def forward(self, inputs: paddle.Tensor, tokens: paddle.Tensor) -> paddle.Tensor:
        """Logits of every next word.

        Args:
            inputs: films uint8 [N, H, W], or features float32 [N, F].
            tokens: int64 [N, T].

        Returns:
            float32 [N, T, V].
        """
        return self.decoder(self.features(inputs), tokens)

    def hint_loss(
        self, features: paddle.Tensor, states: paddle.Tensor, targets: paddle.Tensor, hints: paddle.Tensor
    ) -> paddle.Tensor:
        """What the hints add to the summed loss of a batch: float32, rank 0.

        Args:
            features: float32 [N, F].
            states: float32 [N, T, D], of the decoder's top layer.
            targets: int64 [N, T], padded.
            hints: uint8 [N, findings + V].
        """
        loss = paddle.zeros([])
        if self.feature_hints is not None:
            loss = loss + self.feature_hints.summed_loss(features, hints)
        if self.memory_hints is not None:
            loss = loss + self.memory_hints.summed_loss(states, targets, hints)
        return loss


def initialize(decoder: ReportDecoder, features: NDArray[np.float32] | None = None) -> None:
    """Draw vectors of unit scale for words and image, from Paddle's random state.

    Paddle's defaults make both so small that the LSTM hardly sees them: the decoder then learns the language
    quickly, and to look at the film late or never.

    Args:
        decoder: the network to start.
        features: float32 [N, F] of training films, where they are known before the training. The projection
            then starts by standardizing them, so that what is one film's own is as large as a word's vector.
    """
    paddle.nn.initializer.Normal(0.0, 1.0)(decoder.embedding.weight)
    projection = decoder.image_projection
    paddle.nn.initializer.Normal(0.0, 1.0 / math.sqrt(projection.weight.shape[0]))(projection.weight)
    drawn = projection.weight.numpy()  # [F, E]
    if features is None:
        projection.weight.set_value(drawn * np.float32(_IMAGE_GAIN))
        return
    mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    # A feature that hardly varies must not have its rounding noise blown up.
    least = max(_LEAST_DEVIATION * float(deviation.mean()), float(np.finfo(np.float32).tiny))
    standardizing = drawn / np.maximum(deviation, least)[:, None]
    projection.weight.set_value(standardizing.astype(np.float32))
    projection.bias.set_value((-mean @ standardizing).astype(np.float32))
