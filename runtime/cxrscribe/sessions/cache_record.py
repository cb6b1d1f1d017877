"""What the cache notes of an entry: what it was made from, by what, and what files it has."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cxrscribe.bundle.bundle import GraphFile
from cxrscribe.bundle.files import is_bundle_path
from cxrscribe.errors import BundleError
from cxrscribe.json_object import JsonObject, read_json_object
from cxrscribe.regular_file import open_regular
from cxrscribe.sessions.trusted_folder import close_to_others

GRAPH_NAME: Final = "graph.onnx"
WEIGHTS_NAME: Final = "weights.data"
MODEL_NAME: Final = "model.blob"
RECORD_NAME: Final = "entry.json"
_NAMES: Final = (GRAPH_NAME, WEIGHTS_NAME, MODEL_NAME)
_MOST_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 18
_ONNXRUNTIME: Final = "onnxruntime"
_OPENVINO: Final = "openvino"


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
        if name not in _NAMES:
            fields.refuse("name", f"one of {', '.join(_NAMES)}")
        return fields.make(cls, name=name, bytes=fields.integer("bytes"), crc32=fields.integer("crc32"))


@dataclass(frozen=True)
class Compilation:
    """How OpenVINO compiled a graph, beside what follows from graph, version and processor."""

    films: int
    """In each batch."""
    threads: int
    """With which it was tried; another number may compute other bits."""
    precision: str
    """What float32 is computed in: `fp32` or `bf16`."""


@dataclass(frozen=True)
class Compiled:
    """What was found of a compiled graph when it was made."""

    how: Compilation
    alike: bool
    """Whether films get from it, to the bit, what they get alone."""
    operations: Mapping[str, int]
    """How many are computed in each type, as OpenVINO calls it."""

    def to_json(self) -> dict[str, object]:
        """The fields as JSON values."""
        return {**asdict(self.how), "alike": self.alike, "operations": dict(self.operations)}

    @classmethod
    def from_json(cls, fields: JsonObject) -> Compiled:
        """Read what `to_json` gave. Raises the document's error, which names the field that is wrong."""
        operations = fields.object("operations")
        return fields.make(
            cls,
            how=Compilation(fields.integer("films"), fields.integer("threads"), fields.text("precision")),
            alike=fields.boolean("alike"),
            operations={kind: operations.integer(kind) for kind in operations.names()},
        )


@dataclass(frozen=True)
class CacheRecord:
    """Of one graph."""

    bundle: str
    """Folder of the bundle that the graph was first seen in."""
    made: str
    """When, in UTC: ISO 8601, to the second."""
    build: str
    """Of the engine: version, and how it was built."""
    processor: str
    sources: tuple[SourceFile, ...]
    """The graph of the bundle, then its external data."""
    files: tuple[CachedFile, ...]
    """What was made from them: a graph and, unless all are small, its weights; or what OpenVINO compiled."""
    compiled: Compiled | None = None
    """None of a graph for onnxruntime."""

    @property
    def engine(self) -> str:
        """What runs it."""
        return _ONNXRUNTIME if self.compiled is None else _OPENVINO

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
            self.engine: self.build,
            "processor": self.processor,
            "sources": [source.to_json() for source in self.sources],
            "files": [file.to_json() for file in self.files],
            **({"compiled": self.compiled.to_json()} if self.compiled is not None else {}),
        }

    def write(self, folder: Path) -> None:
        """Write the record into `folder`, beside the files. Raises OSError."""
        file = folder / RECORD_NAME
        file.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
        close_to_others(file)

    @classmethod
    def read(cls, folder: Path) -> CacheRecord:
        """Read the record in `folder`. Raises BundleError when there is none, or it isn't one."""
        fields = read_json_object(folder / RECORD_NAME, _MOST_BYTES, error=BundleError)
        compiled = Compiled.from_json(fields.object("compiled")) if "compiled" in fields.names() else None
        record = fields.make(
            cls,
            bundle=fields.text("bundle"),
            made=fields.text("made"),
            build=fields.text(_ONNXRUNTIME if compiled is None else _OPENVINO),
            processor=fields.text("processor"),
            sources=tuple(map(SourceFile.from_json, fields.objects("sources"))),
            files=tuple(map(CachedFile.from_json, fields.objects("files"))),
            compiled=compiled,
        )
        record._check(folder)
        return record

    def _check(self, folder: Path) -> None:
        names = [file.name for file in self.files]
        wanted = ([GRAPH_NAME], [GRAPH_NAME, WEIGHTS_NAME]) if self.compiled is None else ([MODEL_NAME],)
        if not self.sources or names not in wanted:
            raise BundleError(f"{folder / RECORD_NAME} names other files than are made; remove the folder")
        if not all(is_bundle_path(source.path) for source in self.sources):
            raise BundleError(f"{folder / RECORD_NAME} names a file outside its bundle; remove the folder")


def described(folder: Path) -> tuple[CachedFile, ...]:
    """Those of an entry's files that are there. Raises OSError."""
    return tuple(CachedFile.describe(folder / name) for name in _NAMES if (folder / name).exists())


def crc32_of(file: Path) -> int:
    """Checksum of a file, read piece by piece into one small buffer. Raises OSError."""
    checksum, buffer = 0, memoryview(bytearray(_READ_BYTES))
    with open_regular(file, follow=False) as stream:
        while size := stream.readinto(buffer):
            checksum = zlib.crc32(buffer[:size], checksum)
    return checksum
