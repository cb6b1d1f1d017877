"""TLS of connections: counted, and bounded in time, from their first moment and not only once it is there."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxrscribe.server.connections import Connection, Connections


class Handshake(asyncio.Protocol):
    """A client's connection until it speaks TLS, and `make` gives who goes on with it.

    asyncio's own servers tell nobody of connections before that, and wait a minute for each.
    """

    def __init__(
        self,
        make: Callable[[], Connection],
        context: ssl.SSLContext,
        bounds: Connections,
        open_ones: set[object],
    ) -> None:
        """`open_ones`: where connections are counted."""
        self._make = make
        self._context = context
        self._bounds = bounds
        self._open_ones = open_ones
        self._early: list[bytes] = []  # came with the client's last words of the handshake
        self._transport: asyncio.Transport
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let it in, and shake hands."""
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()  # before TLS does, nobody would understand it
        self._transport = transport
        self._open_ones.add(self)
        if not self._bounds.make_room(self._open_ones):
            self.leave()
            return
        self._bounds.waiting[self] = None
        self._task = asyncio.get_running_loop().create_task(self._shake())

    def data_received(self, data: bytes) -> None:
        """What came before its connection was there."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._end()

    def leave(self) -> None:
        """Make room for another one."""
        self._end()
        self._transport.abort()

    def shutdown(self) -> None:
        """The service stops: nothing of it was accepted."""
        self.leave()

    def _end(self) -> None:
        self._open_ones.discard(self)
        self._bounds.waiting.pop(self, None)

    async def _shake(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                self._transport,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._bounds.limits.head_seconds,
            )
        except (OSError, ValueError):  # it isn't TLS, it is of another version, it took too long, it is gone
            self._bounds.metrics.errors["tls_handshake"] += 1
            self._transport.abort()
            return
        finally:
            self._end()
        if secured is None or secured.is_closing():
            return
        connection = self._make()
        secured.set_protocol(connection)
        connection.connection_made(secured)
        for data in self._early:
            connection.data_received(data)
