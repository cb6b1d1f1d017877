"""Bytes moved between memory and processor, by copying, as fast as this machine does it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

_Bytes: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Transfer:
    """What one product moves at least, in bytes."""

    weights: int
    """Read."""
    activations: int
    """Read and written."""
    weights_at: int = 0
    """Where its weights begin among all: other products' are elsewhere, so no cache has them by chance."""


class Traffic:
    """Moves the bytes of transfers.

    A copy of n bytes reads n and writes n, so half of what a transfer moves is copied. Weights are moved from
    and to their own place among all, activations from and to the same place each time, as if each product
    found what the one before left in the cache. Each of `threads` threads copies its share of each transfer,
    and waits for none of the others in between.
    """

    def __init__(self, transfers: Sequence[Transfer], threads: int) -> None:
        """`transfers`: the largest that there will be."""
        weights = max(each.weights_at + each.weights for each in transfers)
        activations = max(each.activations for each in transfers)
        self._share = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="traffic")
        self._buffers = [
            (_room(weights // self._share), _room(activations // self._share)) for _ in range(threads)
        ]

    def run(self, transfers: Sequence[Transfer]) -> None:
        """Move the bytes of these transfers, in order."""
        for done in [self._pool.submit(self._copy, *each, transfers) for each in self._buffers]:
            done.result()

    def _copy(
        self,
        weights: tuple[_Bytes, _Bytes],
        activations: tuple[_Bytes, _Bytes],
        transfers: Sequence[Transfer],
    ) -> None:
        for each in transfers:
            start = each.weights_at // self._share
            _copy(weights, start, start + each.weights // self._share)
            _copy(activations, 0, each.activations // self._share)


def _room(size: int) -> tuple[_Bytes, _Bytes]:
    """Two buffers, written once, so that they are in RAM."""
    return np.ones(size, np.uint8), np.ones(size, np.uint8)


def _copy(buffers: tuple[_Bytes, _Bytes], start: int, end: int) -> None:
    source, target = buffers
    np.copyto(target[start:end], source[start:end])
