"""Graphs as onnxruntime optimizes them for this machine, kept so that the next start is quick and small.

A graph is optimized once, and written with its weights in a file beside it, which later starts map into
memory instead of reading, converting and copying it. What comes out is the same to the bit.
"""

from __future__ import annotations

import json
import logging
import os
import time
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Final, Protocol

from cxrscribe.arguments import is_flag, path
from cxrscribe.bundle.bundle import GraphFile, GraphSource
from cxrscribe.errors import BundleError, InputError
from cxrscribe.freed_memory import return_freed_memory
from cxrscribe.sessions.cache_folder import VARIABLE, CacheEntry, CacheFolder
from cxrscribe.sessions.cache_notes import CacheNotes
from cxrscribe.sessions.cache_record import (
    GRAPH_NAME,
    WEIGHTS_NAME,
    CacheRecord,
    Compilation,
    Compiled,
    SourceFile,
    described,
)
from cxrscribe.sessions.device import import_onnxruntime, processor
from cxrscribe.sessions.matrix_form import multiplies_with_amx
from cxrscribe.sessions.session import SessionSettings, write_optimized

_LAYOUT: Final = 3
"""Of what is written; another number makes new entries. Those of 1 are of graphs with any operators, those of
2 don't use AMX."""
_SUM_DIGITS: Final = 32
_log: Final = logging.getLogger(__name__)


class Recipe(Protocol):
    """How what is kept of a graph is made."""

    @property
    def build(self) -> str:
        """Of the engine that makes and reads it: version, and how it was built."""

    @property
    def compilation(self) -> Compilation | None:
        """What else it depends on; None for onnxruntime's optimized graphs, which depend on nothing else."""

    def write(self, graph: Path, folder: Path) -> Compiled | None:
        """Write it into an empty folder. What was found of it, where it has a `compilation`.

        Raises whatever the engine does.
        """


@dataclass(frozen=True)
class Optimized:
    """The Recipe of a graph as onnxruntime optimizes it, which doesn't depend on the settings."""

    settings: SessionSettings
    compilation: None = None

    @property
    def build(self) -> str:
        """Version of onnxruntime and how it was built."""
        return onnxruntime_build()

    def write(self, graph: Path, folder: Path) -> None:
        """Write the optimized graph and its weights."""
        write_optimized(graph, self.settings, folder / GRAPH_NAME, WEIGHTS_NAME)


class GraphCache:
    """Finds graphs of bundles in a folder, and adds those that aren't there. For graphs of the CPU only."""

    def __init__(self, folder: CacheFolder) -> None:
        self._folder = folder

    @property
    def notes(self) -> CacheNotes:
        """What lies beside the graphs."""
        return CacheNotes(self._folder)

    def find(self, source: GraphSource, recipe: Recipe) -> CacheEntry | None:
        """The entry of a graph, if there is one; its content hasn't been read."""
        entry = self._folder.entry(cache_key(source, recipe))
        return entry if entry is not None and _is_of(entry.record, source, recipe) else None

    def make(self, source: GraphSource, files: Sequence[GraphFile], recipe: Recipe) -> CacheEntry | None:
        """Make the entry of a graph, whose files have been checked. None where that can't be done.

        Why doesn't matter: a folder that can't be written to, a full disk, a graph that the engine refuses.
        Files of a bundle that isn't verified are verified here: who verifies relies on what is in the cache.
        """
        if not source.bundle.verify:
            try:
                for file in files:
                    source.bundle.check_sha256(file)
            except BundleError:
                return None
        made_meanwhile = self._sound(source, recipe)
        if made_meanwhile is not None:
            return made_meanwhile
        key = cache_key(source, recipe)
        wrong = self._folder.entry(key)
        if wrong is not None:
            self._folder.remove(wrong)
        size = sum(file.entry.bytes for file in files)
        with suppress(OSError), self._folder.adding(key, size) as scratch:
            try:
                compiled = recipe.write(files[0].path, scratch)
            except Exception as error:  # onnxruntime's own errors have no common class below this one
                raise OSError(f"{files[0].path} can't be optimized") from error
            return_freed_memory()
            CacheRecord(
                bundle=str(source.bundle.path.resolve()),
                made=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                build=recipe.build,
                processor=processor(),
                sources=tuple(map(SourceFile.of, files)),
                files=described(scratch),
                compiled=compiled,
            ).write(scratch)
        return self._sound(source, recipe)

    def discard(self, entry: CacheEntry) -> None:
        """Remove an entry that turned out to be damaged."""
        self._folder.remove(entry)

    def check(self, entry: CacheEntry, source: GraphSource) -> Check:
        """Begin to check that an entry is what was written and comes from the bundle's files as they are now.

        Raises BundleError when one of these is missing, of another size, or outside the bundle.
        """
        return Check(self, self._folder, entry, source)

    def _sound(self, source: GraphSource, recipe: Recipe) -> CacheEntry | None:
        """As `find`, with its content read: what is damaged may lie in a folder that can't be written to."""
        entry = self.find(source, recipe)
        return entry if entry is not None and entry.has_right_sums else None


class Check:
    """One entry, checked on a thread of its own: onnxruntime can be busy meanwhile."""

    def __init__(
        self, cache: GraphCache, folder: CacheFolder, entry: CacheEntry, source: GraphSource
    ) -> None:
        """Begin. Where the bundle isn't verified, only sizes are compared, which is done at once."""
        self.cache = cache
        self.entry = entry
        self._folder = folder
        self._source = source
        self._files = source.unread_files(tuple(entry.record.external))
        self._error: BundleError | None = None
        self._passed = not source.bundle.verify
        self._thread = Thread(target=self._run, name="cxrscribe-check")
        if source.bundle.verify:
            self._thread.start()

    def passed(self) -> bool:
        """Wait; then whether the entry can be used. Raises BundleError when a file of the bundle is wrong."""
        if self._source.bundle.verify:
            self._thread.join()
        if self._error is not None:
            raise self._error
        if self._passed:
            self._folder.use(self.entry)
        return self._passed

    def _run(self) -> None:
        try:
            self._check_sources()
        except BundleError as error:
            self._error = error
            return
        self._passed = self.entry.has_right_sums

    def _check_sources(self) -> None:
        """Read again those of the bundle's files that have been written since they were last read.

        The others aren't: what runs is the cache's copy.
        """
        found = tuple(map(SourceFile.of, self._files))
        known = set(self.entry.record.sources)
        for file, source in zip(self._files, found, strict=True):
            if source not in known:
                self._source.bundle.check_sha256(file)
        if set(found) != known:
            self._folder.note(self.entry, replace(self.entry.record, sources=found))


def cache_key(source: GraphSource, recipe: Recipe) -> str:
    """Name of a graph's entry: another one for all that what is kept of it depends on.

    The second half is short; that it means the same, the record says.
    """
    others = [_LAYOUT, source.weight_sums, recipe.build, processor(), multiplies_with_amx()]
    if recipe.compilation is not None:
        others += astuple(recipe.compilation)
    return (
        f"{source.entry.sha256[:_SUM_DIGITS]}-{zlib.crc32(json.dumps(others, sort_keys=True).encode()):08x}"
    )


def _is_of(record: CacheRecord, source: GraphSource, recipe: Recipe) -> bool:
    """Whether the entry was made, says its record, from this graph and weights, and for this machine."""
    sums = source.weight_sums
    compilation = record.compiled.how if record.compiled is not None else None
    return (
        record.sources[0].sha256 == source.entry.sha256
        and all(sums.get(name) == digest for name, digest in record.external.items())
        and (record.build, record.processor) == (recipe.build, processor())
        and compilation == recipe.compilation
    )


def onnxruntime_build() -> str:
    """Version of onnxruntime and how it was built."""
    runtime = import_onnxruntime()
    return f"{runtime.__version__} ({' '.join(runtime.get_build_info().split())})"


def open_cache(cache: bool | str | os.PathLike[str], default: Path | None) -> GraphCache | None:
    """The cache that `load` was asked for: False for none, True for the one in `default`, or a folder.

    None, and a warning in the log, for a folder that others could have put graphs into. Raises InputError
    when it is the empty string, or no path.
    """
    if cache == "":
        raise InputError("cache is ''; give a folder, True for the user's own, or False for none")
    folder = (default if cache else None) if is_flag(cache) else path("cache", cache)
    if folder is None:
        return None
    found = CacheFolder(folder)
    problem = found.problem
    if problem is not None:
        _log.warning(
            "the cache in %s is not used: %s. Close it to others (chmod go-w), or name a folder of your own "
            "in %s; until then every start optimizes the graphs anew",
            folder,
            problem,
            VARIABLE,
        )
        return None
    return GraphCache(found)
