"""A bundle: a folder with a manifest and the files that it names, opened only when they are what it says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

from cxrscribe.bundle.files import (
    FP32,
    FileEntry,
    is_bundle_path,
    lies_inside,
    opening,
    regular_file_of,
    stream_sha256,
)
from cxrscribe.bundle.graph_contents import GraphContents
from cxrscribe.bundle.manifest import MANIFEST_NAME, Manifest
from cxrscribe.bundle.operators import check_contents
from cxrscribe.errors import BundleError
from cxrscribe.regular_file import open_regular


class FileState(StrEnum):
    """What `inspect` found of one file."""

    INTACT = "intact"
    DAMAGED = "damaged"
    UNLISTED = "unlisted"


@dataclass(frozen=True)
class FileCheck:
    """One file of a bundle, checked."""

    path: str
    """Below the bundle's folder."""
    state: FileState
    problem: str
    """What is wrong with it; empty where nothing is."""
    entry: FileEntry | None
    """What the manifest says; None for a file that it doesn't name."""


@dataclass(frozen=True)
class Inspection:
    """All files of a bundle, checked."""

    files: tuple[FileCheck, ...]
    """Those in the manifest, in its order, then the others that lie in the folder, by name."""

    @property
    def intact(self) -> bool:
        """Whether every file that the manifest names is what it says. Others are never opened."""
        return all(check.state is not FileState.DAMAGED for check in self.files)


@dataclass(frozen=True)
class GraphFile:
    """A file that a graph is made of, found where the manifest says, with the size that it says."""

    entry: FileEntry
    path: Path
    mtime_ns: int
    """When it was last written, in nanoseconds."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its manifest has been read, its other files have not."""

    path: Path
    """The folder."""
    manifest: Manifest
    verify: bool
    """Whether `graph` checks the sha256 of files that lie in the folder.

    Sizes, paths and operators it checks always, and the sha256 of what is behind a link that leads out.
    """

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = True) -> Bundle:
        """Read the manifest of the folder `path`. Raises BundleError naming what is wrong with it."""
        folder = Path(path)
        try:
            str(folder).encode("utf-8")
        except UnicodeEncodeError:
            raise BundleError(
                f"{folder} has a name that is not UTF-8, which onnxruntime can't open; rename the folder"
            ) from None
        return cls(folder, Manifest.read(folder), verify)

    def graph(self, name: str, precision: str = FP32) -> Path:
        """The file of a graph, say `encoder.onnx`, checked, and the external data that it names checked too.

        Raises BundleError when the bundle has no such graph or precision, a file isn't what the manifest says
        (missing, of another size or checksum), or the graph has operators that no graph of a bundle may have.
        """
        return self.graph_files(name, precision)[0].path

    def graph_files(self, name: str, precision: str = FP32) -> tuple[GraphFile, ...]:
        """The file of a graph and then those of its external data, checked as `graph` says."""
        entry = self.graph_entry(name, precision)
        graph = self._checked(entry)
        data = self._external_entries(entry, graph.path)
        return (graph, *map(self._checked, data))

    def file(self, path: str) -> Path:
        """A file of the bundle that is no graph, checked. Raises BundleError when it has none so named."""
        entry = self.manifest.entry(path)
        if entry is None or entry.is_graph:
            raise BundleError(f"{self.path} has no {path}; export the bundle again")
        return self._checked(entry).path

    def unread_graph_files(self, name: str, precision: str, external: Sequence[str]) -> tuple[GraphFile, ...]:
        """As `graph_files`, of a graph known to name just the files `external`: nothing is read.

        Paths and sizes are checked, and that each file can be opened. Raises BundleError.
        """
        entry = self.graph_entry(name, precision)
        graph = self._file(entry, hashed=False)
        data = [self._external_entry(entry, graph.path, each) for each in external]
        return (graph, *(self._file(each, hashed=False) for each in data))

    def check_sha256(self, file: GraphFile) -> None:
        """Raise BundleError unless the file has the sha256 that the manifest says."""
        self._file(file.entry, hashed=True)

    def has_graph(self, name: str, precision: str = FP32) -> bool:
        """Whether the manifest names a graph of this name and precision."""
        entry = self.manifest.entry(_path(name, precision))
        return entry is not None and entry.is_graph

    def graph_entry(self, name: str, precision: str = FP32) -> FileEntry:
        """What the manifest says of a graph. Raises BundleError when the bundle has none of that name."""
        if precision not in self.manifest.graph_precisions:
            raise BundleError(
                f"{self.path} has no graphs of precision {precision!r}; "
                f"it has {', '.join(self.manifest.graph_precisions) or 'none'}"
            )
        entry = self.manifest.entry(_path(name, precision))
        if entry is None or not entry.is_graph:
            raise BundleError(f"{self.path} has no {name} at precision {precision}; export the bundle again")
        return entry

    def inspect(self) -> Inspection:
        """Check size and sha256 of all files, whatever `verify` says."""
        listed = [self._check(entry) for entry in self.manifest.files]
        known = {entry.path for entry in self.manifest.files} | {MANIFEST_NAME}
        found = sorted(
            Path(folder, name).relative_to(self.path).as_posix()
            for folder, _, names in os.walk(self.path)
            for name in names
        )
        unlisted = [
            FileCheck(path, FileState.UNLISTED, "not in the manifest", None)
            for path in found
            if path not in known
        ]
        return Inspection((*listed, *unlisted))

    def _check(self, entry: FileEntry) -> FileCheck:
        try:
            file = self._file(entry, hashed=True)
            self._external_entries(entry, file.path)
        except BundleError as error:
            return FileCheck(entry.path, FileState.DAMAGED, str(error), entry)
        return FileCheck(entry.path, FileState.INTACT, "", entry)

    def _external_entries(self, graph: FileEntry, file: Path) -> list[FileEntry]:
        """Entries of the files that hold weights of `graph`, whose names stand relative to its folder."""
        if not graph.is_graph:
            return []
        contents = GraphContents.read(file)
        check_contents(file, contents)
        return [self._external_entry(graph, file, name) for name in contents.external]

    def _external_entry(self, graph: FileEntry, file: Path, name: str) -> FileEntry:
        if not is_bundle_path(name):
            raise BundleError(
                f"{file} takes weights from {name!r}, which is no plain path below its folder; "
                "export the bundle again"
            )
        entry = self.manifest.entry(str(PurePosixPath(graph.path).parent / name))
        if entry is None:
            raise BundleError(
                f"{file} takes weights from {name!r}, which {MANIFEST_NAME} doesn't list; "
                "export the bundle again"
            )
        # onnxruntime may start from where the graph really lies, if it is a link.
        beside = Path(os.path.realpath(file)).parent / name
        if os.path.lexists(beside) and os.path.realpath(beside) != os.path.realpath(self.path / entry.path):
            raise BundleError(
                f"{file} is a link to a folder with another {name!r}; put the file itself there"
            )
        return entry

    def _checked(self, entry: FileEntry) -> GraphFile:
        """As `_file`. What a link brings in from elsewhere is always hashed, whatever `verify` says."""
        elsewhere = not self.verify and not lies_inside(self.path, self.path / entry.path)
        return self._file(entry, hashed=self.verify or elsewhere)

    def _file(self, entry: FileEntry, hashed: bool) -> GraphFile:
        """The file of an entry. Raises BundleError when it isn't what the entry says."""
        file = regular_file_of(self.path, entry.path)
        with opening(file), open_regular(file) as stream:
            status = os.fstat(stream.fileno())
            size = status.st_size
            found = stream_sha256(stream) if hashed and size == entry.bytes else entry.sha256
        if size != entry.bytes:
            raise BundleError(
                f"{file} has {size} bytes, but {MANIFEST_NAME} says {entry.bytes}; "
                "it is cut off or changed: copy or export the bundle again"
            )
        if found != entry.sha256:
            raise BundleError(
                f"{file} has the sha256 {found}, but {MANIFEST_NAME} says {entry.sha256}; "
                "it is changed or damaged: copy or export the bundle again"
            )
        return GraphFile(entry, file, status.st_mtime_ns)


@dataclass(frozen=True)
class GraphSource:
    """A graph of a bundle at one precision."""

    bundle: Bundle
    name: str
    """Say `encoder.onnx`."""
    precision: str = FP32

    @property
    def entry(self) -> FileEntry:
        """What the manifest says of the graph. Raises BundleError when the bundle has none."""
        return self.bundle.graph_entry(self.name, self.precision)

    @property
    def path(self) -> Path:
        """Where the graph lies; not checked."""
        return self.bundle.path / self.entry.path

    @property
    def weight_sums(self) -> dict[str, str]:
        """The sha256 of every file that may hold weights of the graph, by its name as the graph writes it.

        These are all files below its folder that are no graphs: which of them it names, only reading tells.
        """
        folder = PurePosixPath(self.entry.path).parent
        return {
            str(PurePosixPath(entry.path).relative_to(folder)): entry.sha256
            for entry in self.bundle.manifest.files
            if not entry.is_graph and PurePosixPath(entry.path).is_relative_to(folder)
        }

    def files(self) -> tuple[GraphFile, ...]:
        """The graph's file and those of its external weights, all checked as `Bundle.graph` does."""
        return self.bundle.graph_files(self.name, self.precision)

    def unread_files(self, external: Sequence[str]) -> tuple[GraphFile, ...]:
        """As `files`, of a graph whose external weights are known by their names in it: no file is read."""
        return self.bundle.unread_graph_files(self.name, self.precision, external)


def _path(name: str, precision: str) -> str:
    return name if precision == FP32 else f"{precision}/{name}"
