"""The files of a bundle: how the manifest describes each, and which paths may lead to one."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any, Final

from cxrscribe.errors import BundleError, InputError
from cxrscribe.json_object import ErrorKind, JsonObject
from cxrscribe.printable import unprintable
from cxrscribe.regular_file import open_regular

FP32: Final = "fp32"

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
PRECISION_NAME: Final = re.compile(r"[a-z0-9_]{1,32}")
"""What a precision may be called, and so the folder of its graphs."""


@dataclass(frozen=True)
class TensorEntry:
    """One input or output of a graph."""

    name: str
    dtype: str
    """As numpy calls it: `float32`, `int64`, `uint8`."""
    shape: tuple[int | str, ...]
    """Sizes; a string names an axis whose size the caller chooses."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> TensorEntry:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        shape: list[int | str] = []
        for size in fields.array("shape"):
            if isinstance(size, bool) or not isinstance(size, int | str):
                fields.refuse("shape", "an array of sizes and axis names")
            shape.append(size)
        return fields.make(cls, name=fields.text("name"), dtype=fields.text("dtype"), shape=tuple(shape))


@dataclass(frozen=True)
class FileEntry:
    """One file: where it lies, its checksum and, for a graph, what goes in and comes out.

    Raises BundleError when the path isn't one inside the bundle, or the checksum isn't one.
    """

    path: str
    """Below the bundle's folder, with forward slashes."""
    sha256: str
    """64 lower-case hexadecimal digits."""
    bytes: int
    """Size."""
    precision: str = FP32
    """Of the weights: `fp32`, `int8`, ..."""
    opset: int | None = None
    """Version of the `ai.onnx` operators that a graph uses; None for a file that isn't a graph."""
    inputs: tuple[TensorEntry, ...] = ()
    outputs: tuple[TensorEntry, ...] = ()

    def __post_init__(self) -> None:
        if not is_bundle_path(self.path):
            raise BundleError(
                f"file path {self.path!r} is not one below the bundle's folder; write it relative"
            )
        if not _SHA256.fullmatch(self.sha256):
            raise BundleError(
                f"sha256 of {self.path} is {self.sha256!r}, not 64 lower-case hexadecimal digits"
            )
        if not PRECISION_NAME.fullmatch(self.precision):
            raise BundleError(
                f"precision of {self.path} is {self.precision!r}, not a name like 'fp32' or 'int8'"
            )

    @property
    def is_graph(self) -> bool:
        """Whether this is an ONNX graph, and not, say, the external weights of one."""
        return self.opset is not None

    @classmethod
    def describe(
        cls,
        bundle: Path,
        path: str,
        *,
        precision: str = FP32,
        opset: int | None = None,
        inputs: Sequence[TensorEntry] = (),
        outputs: Sequence[TensorEntry] = (),
    ) -> FileEntry:
        """The entry of the file that now lies at `bundle / path`, with its size and checksum."""
        file = bundle / path
        return cls(
            path=path,
            sha256=sha256_of(file),
            bytes=file.stat().st_size,
            precision=precision,
            opset=opset,
            inputs=tuple(inputs),
            outputs=tuple(outputs),
        )

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "path": self.path,
            "sha256": self.sha256,
            "bytes": self.bytes,
            "precision": self.precision,
            "opset": self.opset,
            "inputs": [entry.to_json() for entry in self.inputs],
            "outputs": [entry.to_json() for entry in self.outputs],
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> FileEntry:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            path=fields.text("path"),
            sha256=fields.text("sha256"),
            bytes=fields.integer("bytes"),
            precision=fields.text("precision"),
            opset=None if fields.is_null("opset") else fields.integer("opset", 1),
            inputs=tuple(TensorEntry.from_json(tensor) for tensor in fields.objects("inputs")),
            outputs=tuple(TensorEntry.from_json(tensor) for tensor in fields.objects("outputs")),
        )


def is_bundle_path(path: str) -> bool:
    """Whether `path` can only lead below the folder that it starts from.

    It has to be relative and normalized, with forward slashes: without `..`, `.` and empty parts. What is no
    name everywhere isn't one here; onnxruntime, too, takes some with an asterisk for addresses in memory.
    """
    parts = PurePosixPath(path).parts
    is_relative = path != "" and not path.startswith("/")
    is_normalized = path == "/".join(parts) and ".." not in parts
    return is_relative and is_normalized and not set(path) & set('\\:*?"<>|') and unprintable(path) is None


def regular_file_of(bundle: Path, path: str) -> Path:
    """The file at `path` below the folder `bundle`, or behind a link there, wherever that leads.

    Raises BundleError unless it is a regular file: a pipe would be waited for.
    """
    file = bundle / path
    with opening(file):
        is_regular = stat.S_ISREG(file.stat().st_mode)
    if not is_regular:
        raise BundleError(f"{file} is not a regular file; copy or export the bundle again")
    return file


def lies_inside(bundle: Path, file: Path) -> bool:
    """Whether a file that was named below the folder `bundle` is there itself, and not behind a link that
    leads out. Raises BundleError when it can't be found.
    """
    with opening(file):
        return Path(os.path.realpath(file, strict=True)).is_relative_to(os.path.realpath(bundle, strict=True))


@contextmanager
def opening(file: Path) -> Iterator[None]:
    """Turn what the system has against opening or reading `file` into a BundleError."""
    try:
        yield
    except OSError as error:
        raise BundleError(
            f"{file} can't be opened ({error.strerror}); copy or export the bundle again"
        ) from None


def sha256_of(file: Path, error: ErrorKind = InputError) -> str:
    """Checksum of a file as 64 lower-case hexadecimal digits, read piece by piece.

    Raises `error` when the file can't be read.
    """
    try:
        with open_regular(file) as stream:
            return stream_sha256(stream)
    except OSError as problem:
        raise error(f"{file} can't be read: {problem.strerror or problem}; check the path") from problem


def stream_sha256(stream: FileIO) -> str:
    """Checksum of what is left to read of an open file, as `sha256_of`. Raises OSError."""
    import hashlib  # brings 4 MB of OpenSSL, which a bundle that is in the cache doesn't need

    return hashlib.file_digest(stream, "sha256").hexdigest()


def content_sha256(fields: Mapping[str, object]) -> str:
    """Checksum of a JSON object, however it is spaced and escaped and in whatever order its names stand."""
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    digest: str = _small_sha256()(canonical.encode("ascii")).hexdigest()
    return digest


def _small_sha256() -> Callable[[bytes], Any]:
    """hashlib's, or the interpreter's own, slower and without OpenSSL, where the standard library has it."""
    from importlib import import_module

    for name in ("_sha2", "_sha256", "hashlib"):  # from Python 3.12 on, in 3.11, and in any other
        try:
            return import_module(name).sha256  # type: ignore[no-any-return]
        except (ImportError, AttributeError):
            continue
    raise AssertionError("hashlib has no sha256")
