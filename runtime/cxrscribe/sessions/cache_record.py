"""What the cache notes beside a graph: what it was made from, with what, and what its files should be."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.bundle import GraphFile
from cxrscribe.bundle.files import is_bundle_path
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject, read_json_object

GRAPH_NAME: Final = "graph.onnx"
WEIGHTS_NAME: Final = "weights.data"
RECORD_NAME: Final = "entry.json"
_MOST_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class SourceFile:
    """A file of the bundle, as it was when it was read."""

    path: str
    """Below the bundle's folder."""
    sha256: str
    mtime_ns: int

    @classmethod
    def of(cls, file: GraphFile) -> SourceFile:
        """What identifies the file."""
        return cls(file.entry.path, file.entry.sha256, file.mtime_ns)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"path": self.path, "sha256": self.sha256, "mtime_ns": self.mtime_ns}

    @classmethod
    def from_json(cls, fields: JsonObject) -> SourceFile:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        return fields.make(
            cls,
            path=fields.text("path"),
            sha256=fields.text("sha256"),
            mtime_ns=fields.integer("mtime_ns"),
        )


@dataclass(frozen=True)
class CachedFile:
    """A file of the cache, as it was written."""

    name: str
    bytes: int
    crc32: int
    """Finds damage in half the time of sha256. Neither would find forgery, which could be noted here too."""

    @classmethod
    def describe(cls, file: Path) -> CachedFile:
        """What the file is now. Raises OSError."""
        return cls(file.name, file.stat().st_size, crc32_of(file))

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {"name": self.name, "bytes": self.bytes, "crc32": self.crc32}

    @classmethod
    def from_json(cls, fields: JsonObject) -> CachedFile:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        name = fields.text("name")
        if name not in (GRAPH_NAME, WEIGHTS_NAME):
            fields.refuse("name", f"{GRAPH_NAME!r} or {WEIGHTS_NAME!r}")
        return fields.make(cls, name=name, bytes=fields.integer("bytes"), crc32=fields.integer("crc32"))


@dataclass(frozen=True)
class CacheRecord:
    """Of one graph."""

    bundle: str
    """Folder of the bundle that the graph was first seen in."""
    made: str
    """When, in UTC: ISO 8601, to the second."""
    onnxruntime: str
    processor: str
    sources: tuple[SourceFile, ...]
    """The graph of the bundle, then its external data."""
    files: tuple[CachedFile, ...]
    """What was made from them: the graph and, unless all are small, its weights."""

    @property
    def graph(self) -> str:
        """What the bundle calls the graph."""
        return self.sources[0].path

    @property
    def external(self) -> dict[str, str]:
        """The sha256 of the graph's external data in the bundle, by path from the graph's folder."""
        folder = self.graph.rpartition("/")[0]
        prefix = f"{folder}/" if folder else ""
        return {source.path.removeprefix(prefix): source.sha256 for source in self.sources[1:]}

    @property
    def bytes(self) -> int:
        """Size of all files, this record not counted."""
        return sum(file.bytes for file in self.files)

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {
            "bundle": self.bundle,
            "made": self.made,
            "onnxruntime": self.onnxruntime,
            "processor": self.processor,
            "sources": [source.to_json() for source in self.sources],
            "files": [file.to_json() for file in self.files],
        }

    def write(self, folder: Path) -> None:
        """Write the record into `folder`, beside the files. Raises OSError."""
        (folder / RECORD_NAME).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> CacheRecord:
        """Read the record in `folder`. Raises BundleError when there is none, or it isn't one."""
        fields = read_json_object(folder / RECORD_NAME, _MOST_BYTES, error=BundleError)
        record = fields.make(
            cls,
            bundle=fields.text("bundle"),
            made=fields.text("made"),
            onnxruntime=fields.text("onnxruntime"),
            processor=fields.text("processor"),
            sources=tuple(map(SourceFile.from_json, fields.objects("sources"))),
            files=tuple(map(CachedFile.from_json, fields.objects("files"))),
        )
        record._check(folder)
        return record

    def _check(self, folder: Path) -> None:
        names = [file.name for file in self.files]
        if not self.sources or names not in ([GRAPH_NAME], [GRAPH_NAME, WEIGHTS_NAME]):
            raise BundleError(f"{folder / RECORD_NAME} names other files than are made; remove the folder")
        if not all(is_bundle_path(source.path) for source in self.sources):
            raise BundleError(f"{folder / RECORD_NAME} names a file outside its bundle; remove the folder")


def described(files: Sequence[Path]) -> tuple[CachedFile, ...]:
    """Those of the files that are there. Raises OSError."""
    return tuple(CachedFile.describe(file) for file in files if file.exists())


def crc32_of(file: Path) -> int:
    """Checksum of a file, read piece by piece into one small buffer. Raises OSError."""
    checksum, buffer = 0, memoryview(bytearray(_READ_BYTES))
    with file.open("rb", buffering=0) as stream:
        while size := stream.readinto(buffer):
            checksum = zlib.crc32(buffer[:size], checksum)
    return checksum
