"""What is trained: the decoder alone on features, or encoder and decoder on films."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe_models import FilmEncoder, ReportContext, ReportDecoder
from cxrscribe_train.context.known import Known
from cxrscribe_train.fitting.hints import FeatureHints, MemoryHints

# Pooled features have much in common and little that is one film's own. The projection starts this many times
# larger than for features without a common part, so that the little is as large as a word's vector.
_IMAGE_GAIN: Final = 5.0
_LEAST_DEVIATION: Final = 0.1
# What patient and film give to a context, where tags give 1.
_PATIENT_SHARE: Final = 2.0
_FILM_SHARE_BESIDE_TAGS: Final = 0.3
_LEAST_SIZE: Final = 1e-3  # of the patient's numbers: where texts say nothing, they are all zero


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

    def forward(
        self, inputs: paddle.Tensor, tokens: paddle.Tensor, patient: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """Logits of every next word.

        Args:
            inputs: films uint8 [N, H, W], or features float32 [N, F].
            tokens: int64 [N, T].
            patient: float32 [N, P], for a decoder with a context.

        Returns:
            float32 [N, T, V].
        """
        return self.decoder(self.features(inputs), tokens, patient)

    def end_hints(self) -> None:
        """Let the hints learn no more; from then on nothing may learn from them."""
        for hints in (self.feature_hints, self.memory_hints):
            for parameter in [] if hints is None else hints.parameters():
                parameter.stop_gradient = True

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
    _standardize(projection, features)


def initialize_context(
    context: ReportContext, known: Known, features: NDArray[np.float32] | None = None
) -> None:
    """Start a context standardized: film, patient and tags have shares of it, whatever their units.

    The patient's numbers keep their sizes to each other, which say how much of a report each one tells: made
    equal, the many that tell little drown the few that tell much. So do a film's features beside its tags,
    which tell the findings: there they get a smaller share. docs/context.md has what that brought.

    Args:
        context: the layer to start; its tags get the weights that were fitted.
        known: what is known of the training films.
        features: float32 [N, F] of training films, where they are known before the training.
    """
    film_share = 1.0
    if context.tags is not None and context.tagged is not None and known.tags is not None:
        context.tags.weight.set_value(known.tags.weight)
        context.tags.bias.set_value(known.tags.bias)
        _draw(context.tagged, 1.0)
        _standardize(context.tagged, known.tags.out_of_fold)
        film_share = _FILM_SHARE_BESIDE_TAGS
    _draw(context.film, film_share * (_IMAGE_GAIN if features is None else 1.0))
    if features is not None:
        _standardize(context.film, features)
    size = math.sqrt(float(np.square(known.train, dtype=np.float64).mean()))
    _draw(context.patient, _PATIENT_SHARE / max(size, _LEAST_SIZE))


def _draw(layer: paddle.nn.Linear, share: float) -> None:
    """Draw weights that make numbers of size `share` of inputs of unit scale, from Paddle's random state."""
    paddle.nn.initializer.Normal(0.0, share / math.sqrt(layer.weight.shape[0]))(layer.weight)


def _standardize(layer: paddle.nn.Linear, values: NDArray[np.float32]) -> None:
    """Let a layer's weights, drawn for numbers of unit scale, meet `values` [N, n] as if they had it.

    A layer without bias takes them as they are centred: zeros stay zeros.
    """
    drawn = layer.weight.numpy()
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    # A number that hardly varies must not have its rounding noise blown up.
    least = max(_LEAST_DEVIATION * float(deviation.mean()), float(np.finfo(np.float32).tiny))
    standardizing = drawn / np.maximum(deviation, least)[:, None]
    layer.weight.set_value(standardizing.astype(np.float32))
    if layer.bias is not None:
        layer.bias.set_value((-mean @ standardizing).astype(np.float32))
