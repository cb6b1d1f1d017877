"""One file of a bundle, as the manifest describes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.paths import is_bundle_path
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject

FP32: Final = "fp32"

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PRECISION: Final = re.compile(r"[a-z0-9_]{1,32}")


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
    def read(cls, fields: JsonObject) -> TensorEntry:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        shape: list[int | str] = []
        for size in fields.array("shape"):
            if isinstance(size, bool) or not isinstance(size, int | str):
                fields.refuse("shape", "an array of sizes and axis names")
            shape.append(size)
        entry = cls(fields.text("name"), fields.text("dtype"), tuple(shape))
        fields.finish()
        return entry


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
        if not _PRECISION.fullmatch(self.precision):
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
    def read(cls, fields: JsonObject) -> FileEntry:
        """Read what `to_json` gave. Raises BundleError naming the field that is wrong."""
        entry = cls(
            path=fields.text("path"),
            sha256=fields.text("sha256"),
            bytes=fields.integer("bytes"),
            precision=fields.text("precision"),
            opset=None if fields.is_null("opset") else fields.integer("opset", 1),
            inputs=tuple(TensorEntry.read(tensor) for tensor in fields.objects("inputs")),
            outputs=tuple(TensorEntry.read(tensor) for tensor in fields.objects("outputs")),
        )
        fields.finish()
        return entry


def sha256_of(file: Path) -> str:
    """Checksum of a file as 64 lower-case hexadecimal digits, read piece by piece."""
    import hashlib  # brings 4 MB of OpenSSL, which a bundle that is in the cache doesn't need

    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
