"""Opens the graphs of one bundle, all on the same device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Protocol

from cxrscribe.arguments import MOST_THREADS, whole_number
from cxrscribe.bundle.bundle import GraphSource
from cxrscribe.bundle.files import FP32
from cxrscribe.errors import BundleError, DeviceError
from cxrscribe.sessions.cache import Check, GraphCache, Optimized
from cxrscribe.sessions.cache_folder import CacheEntry
from cxrscribe.sessions.device import (
    AUTO,
    CPU,
    OPENVINO,
    Device,
    Engine,
    Role,
    find_devices,
    missing,
    usable_threads,
)
from cxrscribe.sessions.session import GraphSession, Session, SessionSettings


@dataclass(frozen=True)
class WantedGraph:
    """A graph to open, and what it is for."""

    source: GraphSource
    role: Role
    arithmetic: str = FP32
    """What float32 is computed in: `fp32`, or `bf16`, which only some engines and processors can."""


class SessionFactory:
    """Opens the graphs of one bundle, all on the same device."""

    def __init__(
        self,
        device: str = AUTO,
        threads: int | None = None,
        *,
        spinning: bool = True,
        cache: GraphCache | None = None,
    ) -> None:
        """Choose where to run. `threads` is None for as many as the process may use; see SessionSettings.

        Raises DeviceError when the device is unknown or missing, or `threads` is not from 1 to 1024.
        """
        self._candidates = find_devices(device)
        if not self._candidates:
            raise missing(CPU)
        self._settings = SessionSettings(self._candidates[0], thread_count(threads), spinning=spinning)
        self._cache = cache

    @property
    def threads(self) -> int:
        """Threads of the CPU that each graph uses."""
        return self._settings.threads

    @property
    def device(self) -> Device:
        """The device in use: under `auto`, what the first graph could be opened on."""
        return self._candidates[0]

    def open(self, graphs: Sequence[WantedGraph]) -> list[GraphSession]:
        """Load graphs, in order, each on the engine that runs its role on the device.

        Under `auto`, a device that doesn't work is passed over.

        Raises BundleError when a graph is damaged or can't be loaded, DeviceError when the device turns out
        not to work, or not to compute as was asked for.
        """
        while len(self._candidates) > 1:
            try:
                return self._open(graphs)
            except DeviceError:
                self._candidates = self._candidates[1:]
        return self._open(graphs)

    def _open(self, graphs: Sequence[WantedGraph]) -> list[GraphSession]:
        begun: list[_Opening] = []
        try:
            for graph in graphs:  # one by one: those that are begun are waited for, whatever the next does
                opening = self._begin(graph)
                begun.append(opening)
            return [opening.session() for opening in begun]
        finally:
            for opening in begun:
                opening.wait()

    def _begin(self, graph: WantedGraph) -> _Opening:
        """Begin to open a graph."""
        if self.device.engine(graph.role) is Engine.OPENVINO:
            return _InBackground(lambda: self._with_openvino(graph))
        if graph.arithmetic != FP32:
            raise DeviceError(
                f"device {self.device.name!r} computes float32 in float32 only, not in {graph.arithmetic}; "
                f"take device={OPENVINO.name!r} for {graph.arithmetic}, or another precision"
            )
        settings = replace(self._settings, device=self.device, role=graph.role)
        if self._cache is None or not settings.on_cpu:
            return _Opened(_plain(graph, graph.source.files()[0].path, settings))
        cache = self._cache
        entry = cache.find(graph.source, Optimized(settings))
        if entry is None:
            return _Opened(_made(graph, settings, cache))
        check = cache.check(entry, graph.source)
        return _InBackground(lambda: _kept(graph, entry, check, settings))

    def _with_openvino(self, graph: WantedGraph) -> GraphSession:
        from cxrscribe.sessions.openvino import Arithmetic
        from cxrscribe.sessions.openvino_models import BundleModels
        from cxrscribe.sessions.openvino_session import OpenVinoSession

        source = graph.source
        models = BundleModels(source, Arithmetic(self.threads, graph.arithmetic), self._cache)
        return OpenVinoSession(source.path, source.entry.path, models)


class _Opening(Protocol):
    """A graph that is being opened."""

    def session(self) -> GraphSession:
        """Wait for it. Raises what `SessionFactory.open` does."""

    def wait(self) -> None:
        """Until nothing goes on, whatever came of it."""


@dataclass(frozen=True)
class _Opened:
    """A session that is ready."""

    opened: Session

    def session(self) -> Session:
        return self.opened

    def wait(self) -> None:
        pass


class _InBackground:
    """A session that is opened on a thread of its own: to rearrange an encoder's weights can take longer than
    all else together.
    """

    def __init__(self, opens: Callable[[], GraphSession]) -> None:
        self._opens = opens
        self._found: GraphSession | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="cxrscribe-open")
        self._thread.start()

    def session(self) -> GraphSession:
        self.wait()
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

    def wait(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._found = self._opens()
        except BaseException as error:  # it is the caller's, who waits for it
            self._error = error


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


def _kept(graph: WantedGraph, entry: CacheEntry, check: Check, settings: SessionSettings) -> Session:
    """A session of a graph in the cache, checked meanwhile; of one made afresh where that is damaged."""
    try:
        opened: Session | None = _cached(graph, entry, settings)
    except BundleError:  # it is damaged, or another process has just removed it
        opened = None
    if opened is not None and check.passed():
        return opened
    check.cache.discard(entry)
    return _made(graph, settings, check.cache)


def _made(graph: WantedGraph, settings: SessionSettings, cache: GraphCache) -> Session:
    """A session of a graph that isn't in the cache; if it can be put there, of what is there then."""
    files = graph.source.files()
    entry = cache.make(graph.source, files, Optimized(settings))
    if entry is not None:
        try:
            return _cached(graph, entry, settings)
        except BundleError:
            cache.discard(entry)
    return _plain(graph, files[0].path, settings)
