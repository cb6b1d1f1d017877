"""Opens the graphs of one bundle, all on the same device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cxrscribe.arguments import MOST_THREADS, whole_number
from cxrscribe.bundle.bundle import GraphSource
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.sessions.cache import Check, GraphCache
from cxrscribe.sessions.cache_folder import CacheEntry
from cxrscribe.sessions.device import AUTO, CPU, Device, Role, find_devices, missing, usable_threads
from cxrscribe.sessions.session import Session, SessionSettings


@dataclass(frozen=True)
class WantedGraph:
    """A graph to open, and what it is for."""

    source: GraphSource
    role: Role


class SessionFactory:
    """Opens the graphs of one bundle, all on the same device."""

    def __init__(
        self,
        device: str = AUTO,
        threads: int | None = None,
        *,
        spinning: bool = True,
        exact: bool = True,
        cache: GraphCache | None = None,
    ) -> None:
        """Choose where to run. `threads` is None for as many as the process may use; see SessionSettings.

        Raises DeviceError when the device is unknown or missing, or `threads` is not from 1 to 1024.
        """
        self._candidates = find_devices(device)
        if not self._candidates:
            raise missing(CPU)
        self._settings = SessionSettings(
            self._candidates[0], thread_count(threads), spinning=spinning, exact=exact
        )
        self._cache = cache

    @property
    def threads(self) -> int:
        """Threads of the CPU that each graph uses."""
        return self._settings.threads

    @property
    def device(self) -> Device:
        """The device in use: under `auto`, what the first graph could be opened on."""
        return self._candidates[0]

    def open(self, graphs: Sequence[WantedGraph]) -> list[Session]:
        """Load graphs, in order. Under `auto`, a device that doesn't work is passed over.

        Raises BundleError when a graph is damaged or can't be loaded, DeviceError when the device turns out
        not to work.
        """
        while len(self._candidates) > 1:
            try:
                return self._open(graphs)
            except DeviceError:
                self._candidates = self._candidates[1:]
        return self._open(graphs)

    def _open(self, graphs: Sequence[WantedGraph]) -> list[Session]:
        opened = [self._begin(graph) for graph in graphs]
        return [
            session if check is None or check.passed() else self._afresh(graph, check)
            for graph, (session, check) in zip(graphs, opened, strict=True)
        ]

    def _begin(self, graph: WantedGraph) -> tuple[Session, Check | None]:
        """A session, and the check that it has to pass before it may be used, which goes on meanwhile."""
        settings = replace(self._settings, device=self.device, role=graph.role)
        if self._cache is None or not settings.on_cpu:
            return _plain(graph, graph.source.files()[0].path, settings), None
        entry = self._cache.find(graph.source)
        if entry is None:
            return _made(graph, settings, self._cache), None
        check = self._cache.check(entry, graph.source)
        try:
            return _cached(graph, entry, settings), check
        except BundleError:  # it is damaged, or another process has just removed it
            self._cache.discard(entry)
            return _made(graph, settings, self._cache), None

    def _afresh(self, graph: WantedGraph, check: Check) -> Session:
        """A session in place of one whose cache entry is damaged."""
        check.cache.discard(check.entry)
        return _made(graph, replace(self._settings, device=self.device, role=graph.role), check.cache)


def thread_count(threads: int | None) -> int:
    """`threads`, or as many as the process may use. Raises DeviceError unless it is from 1 to 1024."""
    if threads is None:
        return usable_threads()
    return whole_number("threads", threads, 1, MOST_THREADS, DeviceError)


def _plain(graph: WantedGraph, file: Path, settings: SessionSettings) -> Session:
    return Session(file, settings, name=graph.source.entry.path)


def _cached(graph: WantedGraph, entry: CacheEntry, settings: SessionSettings) -> Session:
    source = graph.source
    return Session(source.path, settings, name=source.entry.path, optimized=entry.graph)


def _made(graph: WantedGraph, settings: SessionSettings, cache: GraphCache) -> Session:
    """A session of a graph that isn't in the cache; if it can be put there, of what is there then."""
    files = graph.source.files()
    entry = cache.make(graph.source, files, settings)
    if entry is not None:
        try:
            return _cached(graph, entry, settings)
        except BundleError:
            cache.discard(entry)
    return _plain(graph, files[0].path, settings)
