"""A graph of a bundle, and how to tell cheaply that its files are still those that were read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cxrscribe.bundle.bundle import Bundle, GraphFile
from cxrscribe.bundle.file_entry import FP32, FileEntry


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
