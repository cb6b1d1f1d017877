"""What the processes of a training exchange in each step, as one flat vector."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray

from cxrscribe_train.fitting.calibration import batch_norm_layers
from cxrscribe_train.fitting.parallel import Exchange


class StepVector:
    """One process's part of a step as a flat vector: gradients, batch-norm statistics, then a few numbers."""

    def __init__(self, network: paddle.nn.Layer, numbers: int) -> None:
        self._parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
        layers = batch_norm_layers(network)
        self._statistics = [tensor for layer in layers for tensor in (layer._mean, layer._variance)]
        self._numbers = numbers

    def __len__(self) -> int:
        tensors = [*self._parameters, *self._statistics]
        return sum(int(np.prod(tensor.shape)) for tensor in tensors) + self._numbers

    def exchange_step(self, exchange: Exchange, *numbers: float) -> NDArray[np.float32]:
        """Sum gradients and `numbers` over all processes, average the statistics; returns the numbers."""
        if exchange.processes == 1:
            return np.array(numbers, dtype=np.float32)
        gradients = [
            np.zeros(parameter.shape, np.float32) if parameter.grad is None else parameter.grad.numpy()
            for parameter in self._parameters
        ]
        total = exchange.sum(_flat([*gradients, *self._mean_parts(exchange), np.array(numbers, np.float32)]))
        place = 0
        for parameter in self._parameters:
            size = int(np.prod(parameter.shape))
            if parameter.grad is not None:
                parameter.grad.set_value(total[place : place + size].reshape(parameter.shape))
            place += size
        self._set_statistics(total[place : len(total) - len(numbers)])
        return total[len(total) - len(numbers) :]

    def exchange_statistics(self, exchange: Exchange) -> None:
        """Average the batch-norm statistics over all processes."""
        if exchange.processes > 1 and self._statistics:
            self._set_statistics(exchange.sum(_flat(self._mean_parts(exchange))))

    def _mean_parts(self, exchange: Exchange) -> list[NDArray[np.float32]]:
        return [tensor.numpy() / np.float32(exchange.processes) for tensor in self._statistics]

    def _set_statistics(self, flat: NDArray[np.float32]) -> None:
        place = 0
        for tensor in self._statistics:
            size = int(np.prod(tensor.shape))
            tensor.set_value(flat[place : place + size].reshape(tensor.shape))
            place += size


def _flat(parts: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.concatenate([part.ravel() for part in parts]) if parts else np.zeros(0, np.float32)
