"""The service from its socket to its end: listening, loading, signals, stopping."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import current_thread, main_thread
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Final

import uvicorn

from cxrscribe.errors import InputError
from cxrscribe.server.access import Access
from cxrscribe.server.application import Application
from cxrscribe.server.connections import LONGEST_HEAD, Connections
from cxrscribe.server.limits import HeldBytes, Limits
from cxrscribe.server.log import Log, libraries_log_to
from cxrscribe.server.metrics import Metrics
from cxrscribe.server.service import Service

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter

_ACCEPTED_AT_ONCE: Final = 128
"""Connections that asyncio takes before it hands out the first of them, and so before any is refused."""
_BACKLOG: Final = 1024
"""Connections that the system keeps until they are taken."""
_FILES_BESIDE: Final = 128 + 4 * _ACCEPTED_AT_ONCE
"""That may be open beside connections: those that are being taken, pipes of the processes that read films."""
# `timeout` and terminals send one signal twice: to a process, and to its group.
_ECHO_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Place:
    """Where to listen: at a host and port, or at the path of a unix socket."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 for any that is free."""
    unix: Path | None = None
    certificate: Path | None = None
    """Of TLS, PEM with the chain, and `key` beside it; None for plain HTTP."""
    key: Path | None = None

    def open(self) -> socket.socket:
        """A socket that is bound, and doesn't listen yet. Raises InputError."""
        try:
            return self._inet() if self.unix is None else _unix(self.unix)
        except OSError as error:
            where = f"{self.host} port {self.port}" if self.unix is None else str(self.unix)
            raise InputError(
                f"the service can't listen at {where} ({error.strerror or error}); give another place"
            ) from None

    def url(self, opened: socket.socket) -> str:
        """What clients call it."""
        if self.unix is not None:
            return f"unix:{self.unix}"
        host, port = opened.getsockname()[:2]
        scheme = "http" if self.certificate is None else "https"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def _inet(self) -> socket.socket:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        opened = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would let two programs have one port
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(address)
        except BaseException:
            opened.close()
            raise
        return opened


def _unix(path: Path) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise InputError("this system's Python has no unix sockets; give --host and --port")
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise InputError(f"{path} is there and no socket; give another --unix")
        _remove_left_over(path)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o117)  # for the user and the group; the folder says more
        try:
            opened.bind(str(path))
        finally:
            os.umask(before)
    except BaseException:
        opened.close()
        raise
    return opened


def _remove_left_over(path: Path) -> None:
    """Remove a socket at which nobody listens. Raises InputError where somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.settimeout(1)
        try:
            other.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise InputError(f"another program listens at {path}; end it, or give another --unix")


def serve(
    load: Callable[[], Reporter],
    place: Place,
    access: Access,
    limits: Limits,
    *,
    warm: int,
    log: Log,
    when_ready: Callable[[str], None],
) -> int:
    """Answer requests until SIGINT or SIGTERM; gives how many that were accepted had no answer in time.

    `load` gives the model, while health is answered already. `when_ready` is told the address once reports
    are written. Called on the main thread; elsewhere nothing but its end stops it.

    Raises InputError for a place where nothing can listen, and what `load` raises.
    """
    return asyncio.run(Listening(load, place, access, limits, warm=warm, log=log).run(when_ready))


class Listening:
    """One service, from its beginning to its end."""

    def __init__(
        self,
        load: Callable[[], Reporter],
        place: Place,
        access: Access,
        limits: Limits,
        *,
        warm: int,
        log: Log,
    ) -> None:
        """Raises InputError for a place where nothing can listen."""
        metrics, held = Metrics(), HeldBytes(limits.held_bytes)
        self._log = log
        self._place = place
        self._service = Service(load, limits, metrics, warm)
        self._application = Application(self._service, access, limits, metrics, held, log)
        connections = Connections(_possible(limits), metrics)
        config = uvicorn.Config(
            self._application,
            http=connections.protocol(),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_ACCEPTED_AT_ONCE,
            timeout_keep_alive=math.ceil(limits.idle_seconds),
            timeout_graceful_shutdown=math.ceil(limits.grace),
            h11_max_incomplete_event_size=LONGEST_HEAD,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                f"the certificate {place.certificate} and its key can't be used ({error.strerror or error})"
            ) from None
        if config.ssl is not None:
            config.http_protocol_class = connections.secured(config.ssl)  # type: ignore[assignment]
            config.ssl = None
        self._server = _Server(config, self.stop)
        self._application.connections = lambda: len(self._server.server_state.connections)
        self._socket = place.open()
        self.url = place.url(self._socket)

    def stop(self) -> None:
        """Take no further request, and end when those that were accepted are answered. From any thread."""
        self._service.is_stopping = True
        self._server.should_exit = True

    async def run(self, when_ready: Callable[[str], None]) -> int:
        """See `serve`."""
        with libraries_log_to(self._log):
            listening = asyncio.create_task(self._server.serve(sockets=[self._socket]))
            try:
                await self._start(listening, when_ready)
            finally:
                self.stop()
                await listening
                await asyncio.to_thread(self._service.close, cancel=True)
                if self._place.unix is not None:
                    self._place.unix.unlink(missing_ok=True)
        self._log.event("stopped", unanswered=self._application.unanswered)
        return self._application.unanswered

    async def _start(self, listening: asyncio.Task[None], when_ready: Callable[[str], None]) -> None:
        """Load, say that it is ready, and stay until the end."""
        began = monotonic()
        reporter = await asyncio.to_thread(self._service.start)
        while not self._server.started and not listening.done():
            await asyncio.sleep(0.01)
        if not self._server.should_exit:
            self._log.event(
                "ready",
                seconds=round(monotonic() - began, 3),
                device=reporter.device,
                precision=reporter.precision,
                fastest=None if reporter.choice is None else reporter.choice.why,
                threads=reporter.threads,
            )
            when_ready(self.url)
        await asyncio.shield(listening)


class _Server(uvicorn.Server):
    """uvicorn's, which ends as a command ends: with its exit code, and not by the signal."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop
        self._asked: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with room for many that come at once."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(_BACKLOG)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While it runs, SIGINT and SIGTERM stop it; signals that are ignored stay so."""
        before = {}
        if current_thread() is main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, self._when_asked)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _when_asked(self, number: int, _frame: FrameType | None) -> None:
        if self._asked is None:
            self._asked = monotonic()
            self._stop()
        elif monotonic() - self._asked >= _ECHO_SECONDS:  # once more: at once
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


def _possible(limits: Limits) -> Limits:
    """The limits, with as many connections as this process may have files open."""
    try:
        import resource
    except ImportError:  # Windows has no such bound
        return limits
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.connections + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return replace(limits, connections=max(1, min(limits.connections, soft - _FILES_BESIDE)))
    return limits
