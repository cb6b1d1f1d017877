"""Where compiled graphs come from: the cache, once they are known to be what was put there, or the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrscribe.bundle.bundle import GraphSource
from cxrscribe.errors import BundleError
from cxrscribe.sessions.cache import GraphCache
from cxrscribe.sessions.cache_folder import CacheEntry
from cxrscribe.sessions.cache_record import MODEL_NAME, Compilation, Compiled
from cxrscribe.sessions.openvino import (
    Arithmetic,
    CompiledGraph,
    compile_graph,
    import_openvino,
    openvino_version,
    read_compiled,
)
from cxrscribe.sessions.openvino_session import BatchGraph, Model, is_alike


@dataclass(frozen=True)
class BundleModels:
    """The Models of one graph of a bundle."""

    source: GraphSource
    arithmetic: Arithmetic
    cache: GraphCache | None

    def open(self, films: int, alone: BatchGraph | None) -> Model:
        """From the cache, or compiled and put there."""
        if self.cache is not None:
            recipe = _Recipe(self.arithmetic, films, alone)
            model = self._found(self.cache, recipe) or self._made(self.cache, recipe)
            if model is not None:
                return model
        graph = compile_graph(self.source.files()[0].path, films, self.arithmetic)
        return Model(graph, graph.operations, _alike(graph, alone))

    def _found(self, cache: GraphCache, recipe: _Recipe) -> Model | None:
        """What is in the cache. Nothing is read by OpenVINO before its checksum has been compared."""
        entry = cache.find(self.source, recipe)
        if entry is None:
            return None
        check = cache.check(entry, self.source)  # which goes on meanwhile
        import_openvino()
        passed = check.passed()
        # Without `verify` that compares sizes only, which is enough for numbers, but not for what this is.
        if not passed or not (self.source.bundle.verify or entry.has_right_sums):
            cache.discard(entry)
            return None
        return self._read(cache, entry, recipe)

    def _made(self, cache: GraphCache, recipe: _Recipe) -> Model | None:
        entry = cache.make(self.source, self.source.files(), recipe)
        return self._read(cache, entry, recipe) if entry is not None else None

    def _read(self, cache: GraphCache, entry: CacheEntry, recipe: _Recipe) -> Model | None:
        compiled = entry.record.compiled
        try:
            assert compiled is not None
            graph = read_compiled(entry.model, self.source.path, recipe.films, self.arithmetic)
        except BundleError:  # it isn't what its record says, or another process has just removed it
            cache.discard(entry)
            return None
        return Model(graph, compiled.operations, compiled.alike)


@dataclass(frozen=True)
class _Recipe:
    """The Recipe of a graph as OpenVINO compiles it for batches of so many films."""

    arithmetic: Arithmetic
    films: int
    alone: BatchGraph | None

    @property
    def build(self) -> str:
        """Version of OpenVINO."""
        return openvino_version()

    @property
    def compilation(self) -> Compilation:
        """What else it depends on."""
        return Compilation(self.films, self.arithmetic.threads, self.arithmetic.precision)

    def write(self, graph: Path, folder: Path) -> Compiled:
        """Compile, try and write it. Raises BundleError, DeviceError and OSError."""
        compiled = compile_graph(graph, self.films, self.arithmetic)
        compiled.write(folder / MODEL_NAME)
        return Compiled(self.compilation, _alike(compiled, self.alone), compiled.operations)


def _alike(graph: CompiledGraph, alone: BatchGraph | None) -> bool:
    return alone is None or is_alike(graph, alone)
