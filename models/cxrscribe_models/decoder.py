"""The report decoder: a multi-layer LSTM whose first input is the projected image (Show and Tell).

Vinyals et al., Show and Tell: A Neural Image Caption Generator, CVPR 2015 (arXiv:1411.4555).
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from cxrscribe.bundle.architecture import Architecture
from cxrscribe_models.context import ReportContext

State = tuple[paddle.Tensor, paddle.Tensor]


class ReportDecoder(nn.Layer):
    """Features and the words so far -> the next word.

    N is the number of films, R of hypothesis rows, T of input tokens, V of words, L of layers, D of hidden
    units, F of features.

    A decoder with a context reads it beside every input, the image and each word: the first layer's weights
    take both. What they make of the context is the same at every step, so that decoding computes it once a
    film: `context_gates` gives it, and `step` takes it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.layers = architecture.layers
        embedding_size, hidden_size = architecture.embedding_size, architecture.hidden_size
        self.image_projection = nn.Linear(architecture.feature_size, embedding_size)
        self.embedding = nn.Embedding(architecture.vocabulary_size, embedding_size)
        self.feature_size = architecture.feature_size
        self.patient_size = architecture.patient_size
        self.context = (
            None
            if architecture.context is None
            else ReportContext(architecture.feature_size, architecture.context)
        )
        self._embedding_size = embedding_size
        self.lstm = nn.LSTM(
            embedding_size + (0 if architecture.context is None else architecture.context.context_size),
            hidden_size,
            num_layers=architecture.layers,
            dropout=architecture.dropout if architecture.layers > 1 else 0.0,
        )
        self.dropout = nn.Dropout(architecture.dropout)
        self.output = nn.Linear(hidden_size, architecture.vocabulary_size)
        self._open_forget_gates()

    def _open_forget_gates(self) -> None:
        """Start with memories that last from a word to a whole report.

        Forget biases from 1 to 5 forget half in 2 to 100 steps, so that the image is still known at the last
        word. Jozefowicz et al., An Empirical Exploration of Recurrent Network Architectures, ICML 2015;
        Tallec and Ollivier, Can Recurrent Neural Networks Warp Time?, ICLR 2018 (arXiv:1804.11188).
        """
        size = self.lstm.hidden_size
        for layer in range(self.layers):
            bias = self._layer_weights(layer)["bias_ih"]  # input, forget, candidate, output: [4 * D]
            opened = bias.numpy()
            opened[size : 2 * size] += np.linspace(1.0, 5.0, size, dtype=np.float32)
            bias.set_value(opened)

    def forward(
        self,
        features: paddle.Tensor,
        tokens: paddle.Tensor,
        patient: paddle.Tensor | None = None,
        tags: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """Teacher forcing: logits of every next word.

        Args:
            features: float32 [N, F].
            tokens: int64 [N, T], `<start> w1 .. wn`, padded.
            patient: float32 [N, P], for a decoder with a context.
            tags: as `ReportContext` takes them.

        Returns:
            float32 [N, T, V]; place t predicts the token after `tokens[:, t]`.
        """
        return self.logits(self.states(features, tokens, patient, tags))

    def states(
        self,
        features: paddle.Tensor,
        tokens: paddle.Tensor,
        patient: paddle.Tensor | None = None,
        tags: paddle.Tensor | None = None,
    ) -> paddle.Tensor:
        """The top layer's hidden state after each token: float32 [N, T, D]; arguments as for `forward`."""
        image = paddle.unsqueeze(self.image_projection(features), 1)  # [N, 1, E]
        inputs = self.dropout(paddle.concat([image, self.embedding(tokens)], axis=1))  # [N, 1 + T, E]
        if self.context is not None:
            context = paddle.unsqueeze(self.dropout(self.context(features, patient, tags)), 1)  # [N, 1, C]
            steps = paddle.expand(context, [-1, inputs.shape[1], -1])
            inputs = paddle.concat([inputs, steps], axis=2)  # [N, 1 + T, E + C]
        hidden, _ = self.lstm(inputs)  # [N, 1 + T, D]
        return hidden[:, 1:]

    def logits(self, states: paddle.Tensor) -> paddle.Tensor:
        """Logits of the next word: float32 [..., D] -> float32 [..., V]."""
        return self.output(self.dropout(states))

    def context_gates(
        self, features: paddle.Tensor, patient: paddle.Tensor, tags: paddle.Tensor | None = None
    ) -> paddle.Tensor:
        """What a context adds to the first layer's gates at every step.

        Args:
            features: float32 [N, F].
            patient: float32 [N, P].
            tags: as `ReportContext` takes them.

        Returns:
            float32 [N, 4 * D].
        """
        assert self.context is not None
        weight = self._layer_weights(0)["weight_ih"][:, self._embedding_size :]  # [4 * D, C]
        return paddle.matmul(self.context(features, patient, tags), weight, transpose_y=True)

    def initial_state(self, features: paddle.Tensor, context: paddle.Tensor | None = None) -> State:
        """The state after the image.

        Args:
            features: float32 [N, F].
            context: float32 [N, 4 * D] of `context_gates`, for a decoder with a context.

        Returns:
            hidden and cell, each float32 [L, N, D].
        """
        image = self.image_projection(features)  # [N, E]
        _, hidden, cell = self._layers(image, None, context)
        return hidden, cell

    def step(
        self,
        token: paddle.Tensor,
        hidden: paddle.Tensor,
        cell: paddle.Tensor,
        context: paddle.Tensor | None = None,
    ) -> tuple[paddle.Tensor, ...]:
        """One word further, each row by itself.

        Args:
            token: int64 [R].
            hidden: float32 [L, R, D].
            cell: float32 [L, R, D].
            context: float32 [R, 4 * D] of `context_gates`, for a decoder with a context.

        Returns:
            log_probs float32 [R, V]; hidden and cell float32 [L, R, D].
        """
        logits, hidden_out, cell_out = self.step_logits(token, hidden, cell, context)
        return nn.functional.log_softmax(logits, axis=-1), hidden_out, cell_out

    def step_logits(
        self,
        token: paddle.Tensor,
        hidden: paddle.Tensor,
        cell: paddle.Tensor,
        context: paddle.Tensor | None = None,
    ) -> tuple[paddle.Tensor, ...]:
        """As `step`, with the logits float32 [R, V] of the next word in place of the log_probs."""
        top, hidden_out, cell_out = self._layers(self.embedding(token), (hidden, cell), context)
        return self.output(top), hidden_out, cell_out

    def _layers(
        self, inputs: paddle.Tensor, state: State | None, context: paddle.Tensor | None
    ) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """One time step through all layers, with the weights of `self.lstm`.

        Written out because a multi-layer `paddle.nn.LSTM` exports with the state of its last layer only.

        Args:
            inputs: float32 [R, E].
            state: hidden and cell before the step, each float32 [L, R, D]; None is a state of zeros.
            context: float32 [R, 4 * D], added to the first layer's gates; None for a decoder without.

        Returns:
            the top layer's output float32 [R, D]; hidden and cell after the step, each float32 [L, R, D].
        """
        hidden_out, cell_out = [], []
        for layer in range(self.layers):
            before = None if state is None else (state[0][layer], state[1][layer])
            inputs, cell = self._cell(layer, inputs, before, context if layer == 0 else None)
            hidden_out.append(inputs)
            cell_out.append(cell)
        return inputs, paddle.stack(hidden_out), paddle.stack(cell_out)

    def _cell(
        self, layer: int, inputs: paddle.Tensor, before: State | None, context: paddle.Tensor | None
    ) -> tuple[paddle.Tensor, paddle.Tensor]:
        """One LSTM cell; its gates stand in Paddle's order: input, forget, candidate, output."""
        weights = self._layer_weights(layer)
        own = weights["weight_ih"]
        if context is not None:
            own = own[:, : self._embedding_size]
        gates = paddle.matmul(inputs, own, transpose_y=True)  # [R, 4 * D]
        if before is not None:
            gates = gates + paddle.matmul(before[0], weights["weight_hh"], transpose_y=True)
        if context is not None:
            gates = gates + context
        gates = gates + (weights["bias_ih"] + weights["bias_hh"])
        input_gate, forget_gate, candidate, output_gate = paddle.split(gates, 4, axis=-1)
        cell = nn.functional.sigmoid(input_gate) * paddle.tanh(candidate)
        if before is not None:
            cell = nn.functional.sigmoid(forget_gate) * before[1] + cell
        return nn.functional.sigmoid(output_gate) * paddle.tanh(cell), cell

    def _layer_weights(self, layer: int) -> dict[str, paddle.Tensor]:
        return {
            name: getattr(self.lstm, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
