"""Fixed addresses for a graph's inputs and outputs, so that a step allocates and copies nothing."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cxrscribe.forks import keep_from_forks
from cxrscribe.sessions.device import Memory, import_onnxruntime
from cxrscribe.sessions.session import Session


class Binding:
    """One set of addresses that a session is run on, again and again. Host arrays are kept alive."""

    def __init__(self, session: Session, memory: Memory, on_device: bool) -> None:
        """`memory`: where the session has its tensors; `on_device`: whether what is in this process' own
        memory has to be copied there before each run.
        """
        self._session = session
        self._memory = memory
        self._on_device = on_device
        self._binding = session.native.io_binding()
        keep_from_forks(self)
        self._copied: dict[str, NDArray[Any]] = {}
        self._kept: dict[str, NDArray[Any]] = {}

    def read(self, name: str, array: NDArray[Any]) -> None:
        """Let an input be this contiguous host array, with what it holds at the time of each run."""
        self._kept[name] = array
        if self._on_device:
            self._copied[name] = array  # onnxruntime copies it when it is bound
            return
        self._read(name, array)

    def write(self, name: str, array: NDArray[Any]) -> None:
        """Let an output go to this contiguous host array."""
        self._kept[name] = array
        self._binding.bind_output(name, Memory.CPU.value, 0, array.dtype.type, array.shape, _address(array))

    def read_rows(self, name: str, address: int, shape: tuple[int, int]) -> None:
        """Let an input be the float32 matrix at this address of the device's memory."""
        self._binding.bind_input(name, self._memory.value, 0, np.float32, shape, address)

    def write_rows(self, name: str, address: int, shape: tuple[int, int]) -> None:
        """Let an output go to this address of the device's memory, as float32."""
        self._binding.bind_output(name, self._memory.value, 0, np.float32, shape, address)

    def run(self) -> None:
        """Compute. Raises DeviceError when onnxruntime fails, BundleError for an output of another shape."""
        try:
            for name, array in self._copied.items():
                self._read(name, array)
            self._session.native.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime's own errors have no common class below this one
            raise self._session.failure(error) from error

    def _read(self, name: str, array: NDArray[Any]) -> None:
        self._binding.bind_input(name, Memory.CPU.value, 0, array.dtype.type, array.shape, _address(array))


class Block(Protocol):
    """A block of float32 [rows, width]."""

    @property
    def address(self) -> int:
        """Of its first number, where the network runs."""

    def grown(self, rows: int) -> Block:
        """A larger block that begins with the same rows."""


def empty_block(width: int, memory: Memory, on_device: bool) -> Block:
    """A block of no rows. `on_device`: whether onnxruntime allocates it, out of this process' reach."""
    nothing = np.zeros((0, width), np.float32)
    return DeviceBlock(nothing, memory) if on_device else HostBlock(nothing)


class HostBlock:
    """A Block in the memory of this process."""

    def __init__(self, array: NDArray[np.float32]) -> None:
        self.array = array

    @property
    def address(self) -> int:
        return _address(self.array)

    def grown(self, rows: int) -> HostBlock:
        array = np.zeros((rows, self.array.shape[1]), np.float32)
        array[: len(self.array)] = self.array
        return HostBlock(array)


class DeviceBlock:
    """A Block wherever onnxruntime can allocate."""

    def __init__(self, values: NDArray[np.float32], memory: Memory) -> None:
        self._memory = memory
        self._value = import_onnxruntime().OrtValue.ortvalue_from_numpy(values, memory, 0)
        keep_from_forks(self)

    @property
    def address(self) -> int:
        return int(self._value.data_ptr())

    def grown(self, rows: int) -> DeviceBlock:
        held = self._value.numpy()
        values = np.zeros((rows, held.shape[1]), np.float32)
        values[: len(held)] = held
        return DeviceBlock(values, self._memory)


def _address(array: NDArray[Any]) -> int:
    """Of the first number; `array.ctypes.data` takes three times as long."""
    address: int = array.__array_interface__["data"][0]
    return address
