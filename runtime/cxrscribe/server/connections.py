"""Connections: how many there are, and how long a client may take for its headers."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import h11
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from cxrscribe.server.bodies import BROKEN_BODY
from cxrscribe.server.handshakes import Handshake
from cxrscribe.server.limits import Limits
from cxrscribe.server.metrics import Metrics
from cxrscribe.server.problems import RequestError, busy

LONGEST_HEAD: Final = 16 << 10
"""Bytes of all headers of a request."""
_FAREWELL_SECONDS: Final = 5.0
_PIECE: Final = 16 << 10
_LEAST_CHUNK: Final = 64
"""Bytes of the chunks of a body, or of what comes of it at a time, on average."""
_MOST_PIECES: Final = 4096
"""Of a body that may be smaller."""
_MOST_UNTAKEN: Final = 256 << 10
"""Bytes of a body that have come, and that nobody has taken yet."""


@dataclass
class Connections:
    """All connections of a service. Of the event loop's thread."""

    limits: Limits
    metrics: Metrics
    waiting: OrderedDict[Connection | Handshake, None] = field(default_factory=OrderedDict)
    """Those without a request under way, from the one that has been so for longest."""

    def protocol(self) -> type[Connection]:
        """What to make each connection with."""
        return type("BoundConnection", (Connection,), {"all": self})

    def secured(self, context: ssl.SSLContext) -> Callable[..., Handshake]:
        """What to make each connection with that is to speak TLS."""
        protocol = self.protocol()

        def handshake(*, server_state: Any, **named: Any) -> Handshake:
            def make() -> Connection:
                return protocol(server_state=server_state, **named)

            return Handshake(make, context, self, server_state.connections)

        return handshake

    def make_room(self, open_ones: set[Any]) -> bool:
        """Whether one more, of the open ones, may stay: where there are too many, another goes."""
        if len(open_ones) <= self.limits.connections:
            return True
        self.metrics.refused_connections += 1
        if not self.waiting:  # all are busy
            return False
        longest, _ = self.waiting.popitem(last=False)
        longest.leave()
        return True


class _BoundedParser(h11.Connection):
    """h11's, for bodies in chunks that are worth their while.

    A chunk takes as long to understand as some thousand bytes: in chunks of one byte, a body of a megabyte
    would take all others half a minute.
    """

    _pieces = 0
    _bytes = 0
    _is_in_chunks = True

    @property
    def takes_any_piece(self) -> bool:
        """Whether what comes next takes no longer to understand the more it is: it is of a body, whose length
        the headers said.
        """
        return self.their_state is h11.SEND_BODY and not self._is_in_chunks

    def next_event(self) -> Any:
        """As h11's. Raises RemoteProtocolError where there are too many pieces for so few bytes, too."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
            self._is_in_chunks = any(name == b"transfer-encoding" for name, _ in event.headers)
        elif isinstance(event, h11.Data):
            self._pieces += 1
            self._bytes += len(event.data)
            if self._pieces > _MOST_PIECES + self._bytes // _LEAST_CHUNK:
                raise h11.RemoteProtocolError("the chunks are too small")
        return event


class _Gathering:
    """A transport that sends in one what is written in one go: the head of an answer, and its body."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send it with what else is written before the loop goes on."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Send what was written, and close."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        data = b"".join(self._written)
        self._written.clear()
        if data:
            self._transport.write(data)


class _Flow(FlowControl):
    """Goes on reading a body that comes faster than it is taken, up to a bound that most films are below."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.transport)
        self._connection = connection

    def pause_reading(self) -> None:
        """Read no further, unless it is for a body of which little is there."""
        cycle = self._connection.cycle
        if cycle is not None and cycle.more_body and len(cycle.body) <= _MOST_UNTAKEN:
            return
        super().pause_reading()


class Connection(H11Protocol):
    """One client's connection: uvicorn's, with bounds that uvicorn leaves to a proxy in front of it."""

    all: Connections
    conn: _BoundedParser

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _BoundedParser(h11.SERVER, LONGEST_HEAD)
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._is_deaf = False  # what still comes makes no sense

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, and the longest idle one out where there are too many."""
        transport = _Gathering(transport, self.loop)  # type: ignore[assignment]
        super().connection_made(transport)
        self.flow = _Flow(self)
        # So that it is known when a client does not read; with 0, that of TLS would always wait.
        transport.set_write_buffer_limits(high=1)
        if not self.all.make_room(self.connections):
            self._refuse(busy("too_many_connections", "there are too many connections; try again soon"))
            return
        self._wait()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._leave_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads its answers more slowly than they come: for so long, and no longer.

        Else whoever asks and never reads has a place for good, and the service never comes to its end.
        """
        super().pause_writing()
        limits = self.all.limits
        seconds = limits.idle_seconds + self.transport.get_write_buffer_size() / limits.body_rate
        self._unread_timer = self.loop.call_later(seconds, self._answer_is_unread)

    def resume_writing(self) -> None:
        """All that was to be sent is on its way."""
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, piece by piece: what is refused in one costs no time in the others."""
        start = 0
        while start < len(data) and not self._is_deaf and not self.transport.is_closing():
            end = len(data) if self.conn.takes_any_piece else start + _PIECE
            self._take(data[start:end])
            start = end

    def _take(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._leave_waiting()
        elif self._head_timer is None and not self.transport.is_closing():
            self._await_head()

    def on_response_complete(self) -> None:
        """The next request may come, or has come already."""
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._wait()

    def timeout_keep_alive_handler(self) -> None:
        """Close it, at once where the client doesn't even read its answer."""
        super().timeout_keep_alive_handler()
        self.loop.call_later(_FAREWELL_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What isn't HTTP.

        Where a request is being worked on, it has its own answer: what is wrong with its body, or its report,
        if that had come whole before.
        """
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._is_deaf = True
            if cycle.more_body:
                cycle.scope["state"][BROKEN_BODY] = True
                cycle.message_event.set()
            return
        self.all.metrics.requests["other", "other", 400] += 1
        self.all.metrics.errors["not_http"] += 1
        self._refuse(RequestError(400, "not_http", "this isn't a request of HTTP/1.1"))

    def leave(self) -> None:
        """Make room for another one."""
        self.connections.discard(self)  # now, and not only when the transport says so
        self.transport.abort()

    def _wait(self) -> None:
        self.all.waiting[self] = None
        self.all.waiting.move_to_end(self)

    def _leave_waiting(self) -> None:
        self.all.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.all.limits.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        self.all.metrics.errors["head_too_slow"] += 1
        if self.conn.trailing_data[0]:
            self.all.metrics.requests["other", "other", 408] += 1
            self._refuse(RequestError(408, "head_too_slow", "the headers came too slowly"))
        else:
            self.transport.abort()

    def _answer_is_unread(self) -> None:
        self._unread_timer = None
        self.all.metrics.errors["answer_unread"] += 1
        self.transport.abort()

    def _refuse(self, problem: RequestError) -> None:
        """Answer without a request, and close."""
        content = json.dumps(problem.to_json("")).encode("ascii")
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
            **problem.headers,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._leave_waiting()
        self.transport.write(f"HTTP/1.1 {problem.status} -\r\n{head}\r\n".encode("ascii") + content)
        self.transport.close()
        self.loop.call_later(_FAREWELL_SECONDS, self.transport.abort)
