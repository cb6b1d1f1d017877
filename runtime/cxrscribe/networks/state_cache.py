"""The LSTM state of a batch of searches: one matrix, one row a hypothesis, in two buffers used in turn."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.sessions.device import Memory, import_onnxruntime

_NUMBER_BYTES: Final = 4


class Block(Protocol):
    """A block of float32 [rows, width]."""

    @property
    def address(self) -> int:
        """Of its first number, where the network runs."""

    def grown(self, rows: int) -> Block:
        """A larger block that begins with the same rows."""


class StateCache:
    """Rows to read, and room for the rows that the next step makes of them.

    A step reads from one buffer and writes to the other: admission, reordering and eviction are the gather
    by which it reads. New images' rows come behind those of the last step. The buffers grow with the largest
    batch and stay for the next one.
    """

    def __init__(self, width: int, memory: Memory, on_device: bool) -> None:
        """`width`: numbers in a row, 2 * L * D; `memory`: where the network has its tensors; `on_device`:
        whether onnxruntime allocates them, out of this process' reach.
        """
        self.width = width
        self.memory = memory
        self.on_device = on_device
        self.capacity = 0
        """Rows that each buffer has room for."""
        self.held = 0
        """Rows of the last step, and of images admitted since."""
        self.turn = 0
        """Which of the two buffers holds them."""
        self._buffers: list[Block] = [_empty(width, memory, on_device) for _ in range(2)]

    def reserve(self, rows: int) -> None:
        """Make room for this many rows; what is held stays."""
        if rows > self.capacity:
            self._buffers = [buffer.grown(rows) for buffer in self._buffers]
            self.capacity = rows

    def admit(self, rows: NDArray[np.float32]) -> None:
        """Put new images' states [n, width] behind what is held; for a cache that is not `on_device`."""
        buffer = self._buffers[self.turn]
        assert isinstance(buffer, HostBlock)
        buffer.array[self.held : self.held + len(rows)] = rows
        self.held += len(rows)

    @property
    def readable(self) -> int:
        """Address of the buffer to read, [capacity, width]."""
        return self._buffers[self.turn].address

    @property
    def writable(self) -> int:
        """Address of the buffer that the next step writes its rows to."""
        return self._buffers[1 - self.turn].address

    @property
    def behind(self) -> int:
        """Address of the first row behind what is held."""
        return self.readable + self.held * self.width * _NUMBER_BYTES

    def swap(self, rows: int) -> None:
        """Hold the rows that a step has written."""
        self.turn = 1 - self.turn
        self.held = rows

    def clear(self) -> None:
        """Hold nothing; the buffers stay."""
        self.held = 0


def _empty(width: int, memory: Memory, on_device: bool) -> Block:
    nothing = np.zeros((0, width), np.float32)
    return DeviceBlock(nothing, memory) if on_device else HostBlock(nothing)


class HostBlock:
    """In the memory of this process."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.array = array

    @property
    def address(self) -> int:
        """See Block."""
        address: int = self.array.__array_interface__["data"][0]
        return address

    def grown(self, rows: int) -> HostBlock:
        """See Block."""
        array = np.zeros((rows, self.array.shape[1]), np.float32)
        array[: len(self.array)] = self.array
        return HostBlock(array)


class DeviceBlock:
    """Wherever onnxruntime can allocate."""

    def __init__(self, values: NDArray[np.float32], memory: Memory) -> None:
        self._memory = memory
        self._value = import_onnxruntime().OrtValue.ortvalue_from_numpy(values, memory, 0)

    @property
    def address(self) -> int:
        """See Block."""
        return int(self._value.data_ptr())

    def grown(self, rows: int) -> DeviceBlock:
        """See Block."""
        held = self._value.numpy()
        values = np.zeros((rows, held.shape[1]), np.float32)
        values[: len(held)] = held
        return DeviceBlock(values, self._memory)
