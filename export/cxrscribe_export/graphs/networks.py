"""The three networks that become graphs, each with the forward that is traced."""

from __future__ import annotations

import paddle

from cxrscribe_models import FilmEncoder, ReportDecoder


class Encoding(paddle.nn.Layer):
    """Grey films uint8 [N, H, W] -> features float32 [N, F]."""

    def __init__(self, encoder: FilmEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Features of `image`."""
        return self.encoder(image)


class InitialState(paddle.nn.Layer):
    """Features float32 [N, F] -> hidden and cell float32 [L, N, D]."""

    def __init__(self, decoder: ReportDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """The state after the image."""
        return self.decoder.initial_state(features)


class InitialStateOfPatient(paddle.nn.Layer):
    """As `InitialState`, and patient float32 [N, P] -> context float32 [N, 4 * D] behind the state."""

    def __init__(self, decoder: ReportDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: paddle.Tensor, patient: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """The state after the image, and what every step adds to the first layer's gates."""
        context = self.decoder.context_gates(features, patient)
        return (*self.decoder.initial_state(features, context), context)


class Step(paddle.nn.Layer):
    """Token int64 [R], hidden and cell float32 [L, R, D] -> log_probs float32 [R, V], hidden and cell."""

    def __init__(self, decoder: ReportDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, token: paddle.Tensor, hidden: paddle.Tensor, cell: paddle.Tensor
    ) -> tuple[paddle.Tensor, ...]:
        """One word further."""
        return self.decoder.step(token, hidden, cell)


class StepInContext(paddle.nn.Layer):
    """As `Step`, with context float32 [R, 4 * D] behind the state that it reads."""

    def __init__(self, decoder: ReportDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, token: paddle.Tensor, hidden: paddle.Tensor, cell: paddle.Tensor, context: paddle.Tensor
    ) -> tuple[paddle.Tensor, ...]:
        """One word further."""
        return self.decoder.step(token, hidden, cell, context)


def decoder_networks(decoder: ReportDecoder) -> tuple[paddle.nn.Layer, paddle.nn.Layer]:
    """What becomes decoder_init and decoder_step."""
    if decoder.context is None:
        return InitialState(decoder), Step(decoder)
    return InitialStateOfPatient(decoder), StepInContext(decoder)
