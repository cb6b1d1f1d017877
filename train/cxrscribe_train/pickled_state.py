"""Weights by name out of pickles that others made, without running a line of theirs.

A pickle is a program: `pickle.load` calls whatever it names. The readers here know the few names that weights
need, put plain functions of this file in their place, and refuse every other name. Nothing of torch or
Paddle is imported.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[Any]]

# What stands beside Paddle's weights: its own names for them.
_PADDLE_NAMES: Final = "StructuredToParameterName@@"
# Torch's kinds of storage, as little-endian numpy types. bfloat16 is the upper half of a float32.
_BFLOAT16: Final = "BFloat16Storage"
_STORAGES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    _BFLOAT16: "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_TORCH_MAGIC: Final = 0x1950A86A20F9469CFC6C
_NUMBERS: Final = frozenset("biuf")
_LARGEST_PICKLE: Final = 1 << 26  # the names and shapes of some 100,000 tensors


class PickledStateError(ValueError):
    """The file is none of these, is damaged, or asks for something that is no weight."""


def read_paddle_state(path: Path) -> State:
    """Arrays by name out of a Paddle state file (`.pdparams`).

    Raises PickledStateError, or OSError when the file can't be read.
    """
    with path.open("rb") as file:
        state = _load(file, _PADDLE, lambda key: None)
    if isinstance(state, Mapping):
        state = {name: value for name, value in state.items() if name != _PADDLE_NAMES}
    return _arrays(state)


def read_torch_state(path: Path) -> State:
    """Arrays by name out of a file that `torch.save` wrote (`.pth`, `.pt`), as a zip file or before 1.6.

    The state may lie under `state_dict` or `model`, and each name may begin with `module.`. bfloat16 comes as
    float32. Raises PickledStateError, or OSError when the file can't be read.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            state = _read_torch_archive(archive)
    else:
        with path.open("rb") as file:
            state = _read_torch_stream(file)
    for key in ("state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    return {name.removeprefix("module."): value for name, value in _arrays(state).items()}


def _load(file: Any, known: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any]) -> Any:
    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in known:
                return known[module, name]
            raise PickledStateError(
                f"it asks for {module}.{name}, which no weights need; nothing was run. "
                "Save the weights alone: the state by name, as safetensors or with torch.save or paddle.save"
            )

        def persistent_load(self, pid: Any) -> Any:
            return persistent(pid)

    try:
        return Reader(file).load()
    except (PickledStateError, OSError):
        raise
    except Exception as error:  # pickle raises nearly anything for a file that is no pickle
        raise PickledStateError(
            f"it is damaged, or no such file ({type(error).__name__}: {error})"
        ) from error


def _arrays(state: Any) -> State:
    if not isinstance(state, Mapping):
        raise PickledStateError(f"it holds {type(state).__name__}, not weights by name")
    arrays: State = {}
    for name, value in state.items():
        if isinstance(name, str) and isinstance(value, _PickledArray | _Tensor):
            arrays[name] = value.array
    if not arrays:
        raise PickledStateError("it holds no weights by name")
    return arrays


class _PickledDtype:
    """Stands for `numpy.dtype` in a pickle: one type of numbers."""

    def __init__(self, code: str, *_: object) -> None:
        self.numpy = np.dtype(code)
        if self.numpy.kind not in _NUMBERS:
            raise PickledStateError(f"it holds arrays of {code!r}, not of numbers")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.numpy = self.numpy.newbyteorder(state[1])


class _PickledArray:
    """Stands for `numpy.ndarray` in a pickle."""

    def __init__(self, *_: object) -> None:
        self.array: NDArray[Any] = np.zeros(0, np.float32)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, content = state
        flat = np.frombuffer(content, dtype.numpy)
        self.array = np.ascontiguousarray(
            flat.reshape(shape, order="F" if fortran else "C"), dtype.numpy.newbyteorder("=")
        ).reshape(shape)


def _no_bytes() -> bytes:
    """Stands for `bytes`, by which older pickles hold an array without any element."""
    return b""


def _encoded(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which older pickles hold bytes."""
    if encoding != "latin1":
        raise PickledStateError(f"it holds bytes as {encoding!r}, not as latin1")
    return text.encode("latin1")


_PADDLE: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy", "dtype"): _PickledDtype,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("_codecs", "encode"): _encoded,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}


@dataclass
class _Storage:
    """One storage of a torch file: its numbers, one after the other. Older files hold them last."""

    kind: str
    size: int
    numbers: NDArray[Any] | None = None

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_STORAGES[self.kind])


@dataclass(frozen=True)
class _StorageKind:
    name: str


@dataclass(frozen=True)
class _Tensor:
    """A part of a storage, in a shape."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def array(self) -> NDArray[Any]:
        """A copy. Raises PickledStateError when it reaches out of its storage."""
        numbers = self.storage.numbers
        if numbers is None:
            raise PickledStateError("the numbers of a tensor are missing")
        count = math.prod(self.size)
        last = self.offset + sum(
            (length - 1) * step for length, step in zip(self.size, self.stride, strict=True)
        )
        least = min((self.offset, *self.size, *self.stride))
        # Fewer numbers than places is a tensor that repeats some: no weight, and of any size.
        if least < 0 or (count and last >= len(numbers)) or count > len(numbers):
            raise PickledStateError(f"a tensor of shape {list(self.size)} lies outside its storage")
        if not count:
            return np.zeros(self.size, np.float32)
        strides = [step * numbers.itemsize for step in self.stride]
        found = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.size, strides).copy()
        if self.storage.kind == _BFLOAT16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found


def _tensor(
    storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> _Tensor:
    """Stands for `torch._utils._rebuild_tensor` and its second version."""
    return _Tensor(storage, offset, size, stride)


def _parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    """Stands for `torch._utils._rebuild_parameter`."""
    return tensor


_TORCH: Final[Mapping[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{("torch", name): _StorageKind(name) for name in _STORAGES},
}


def _storage(key: Any) -> tuple[str, _Storage]:
    """The name and the kind of the storage that a pickle asks for."""
    tag, kind, name, _, size, *view = key
    if tag != "storage" or not isinstance(kind, _StorageKind) or any(view):
        raise PickledStateError("it holds a storage of no known kind")
    return name, _Storage(kind.name, size)


def _read_torch_archive(archive: zipfile.ZipFile) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    pickled = [name for name in members if name.endswith("/data.pkl")]
    if len(pickled) != 1 or members[pickled[0]].file_size > _LARGEST_PICKLE:
        raise PickledStateError("it is a zip file, but not one of torch.save")
    folder = pickled[0].removesuffix("data.pkl")

    def read(name: str) -> bytes:
        info = members.get(folder + name)
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise PickledStateError(f"its part {name} is missing or compressed")
        try:
            return archive.read(info)
        except zipfile.BadZipFile as error:
            raise PickledStateError(f"it is damaged ({error})") from None

    if folder + "byteorder" in members and read("byteorder").strip() != b"little":
        raise PickledStateError("its numbers are big-endian; save it again on a little-endian machine")

    read_before: dict[str, _Storage] = {}

    def storage(key: Any) -> _Storage:
        name, found = _storage(key)
        if name not in read_before:
            found.numbers = np.frombuffer(read(f"data/{name}"), found.dtype)
            read_before[name] = found
        return read_before[name]

    return _load(io.BytesIO(read("data.pkl")), _TORCH, storage)


def _read_torch_stream(file: Any) -> Any:
    """Torch before 1.6: three pickles about the file, the state, the storages' names, then their numbers."""
    storages: dict[str, _Storage] = {}

    def storage(key: Any) -> _Storage:
        name, found = _storage(key)
        return storages.setdefault(name, found)

    if _load(file, {}, storage) != _TORCH_MAGIC:
        raise PickledStateError("torch.save didn't write it")
    _load(file, {}, storage)
    _load(file, {}, storage)
    state = _load(file, _TORCH, storage)
    for name in _load(file, {}, storage):
        found = storages.get(name)
        if found is None:
            raise PickledStateError("it holds numbers of a storage that no tensor is in")
        (size,) = np.frombuffer(file.read(8).ljust(8, b"\0"), "<i8")
        content = file.read(int(size) * found.dtype.itemsize) if size == found.size else b""
        if not size == found.size == len(content) // found.dtype.itemsize:
            raise PickledStateError(f"it ends early: a storage of {found.size} numbers isn't whole")
        found.numbers = np.frombuffer(content, found.dtype)
    return state
