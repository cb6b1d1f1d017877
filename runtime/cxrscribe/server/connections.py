"""Connections: how many there are, and how long a client may take for its headers."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cxrscribe.server.limits import Limits
from cxrscribe.server.metrics import Metrics
from cxrscribe.server.problems import RequestError, busy

LONGEST_HEAD: Final = 16 << 10
"""Bytes of all headers of a request."""
_FAREWELL_SECONDS: Final = 5.0


@dataclass
class Connections:
    """All connections of a service. Of the event loop's thread."""

    limits: Limits
    metrics: Metrics
    waiting: OrderedDict[Connection, None] = field(default_factory=OrderedDict)
    """Those without a request under way, from the one that has been so for longest."""

    def protocol(self) -> type[Connection]:
        """What to make each connection with."""
        return type("BoundConnection", (Connection,), {"all": self})


class Connection(H11Protocol):
    """One client's connection: uvicorn's, with bounds that uvicorn leaves to a proxy in front of it."""

    all: Connections

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let it in, and the longest idle one out where there are too many."""
        super().connection_made(transport)
        bounds = self.all
        if len(self.connections) > bounds.limits.connections:
            bounds.metrics.refused_connections += 1
            if not bounds.waiting:  # all are busy
                self._refuse(busy("too_many_connections", "there are too many connections; try again soon"))
                return
            longest, _ = bounds.waiting.popitem(last=False)
            longest.leave()
        self._wait()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._leave_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
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
        """What isn't HTTP."""
        self.all.metrics.requests["other", "other", 400] += 1
        self.all.metrics.errors["not_http"] += 1
        if self.cycle is not None and not self.cycle.response_complete:  # in the midst of a body, say
            self.transport.close()
            return
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
