"""A client that costs little: one connection, kept alive, whose requests were written beforehand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final, Self

from cxrscribe_bench.serving.service import HOST

_PATIENCE: Final = 60.0


@dataclass(frozen=True)
class Answer:
    """What came back: status, the service's name for the request, the body, and whether it was the last."""

    status: int
    request_id: str
    content: bytes
    is_last: bool = False
    """The service takes no further request on this connection."""

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.content)

    @property
    def text(self) -> str:
        """Of a report."""
        return str(self.json["text"])


def film_request(film: bytes, query: str = "") -> bytes:
    """The bytes of a request for this film's report."""
    return request("POST", f"/v1/report{query}", film)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Raises OSError."""
        return cls(*await asyncio.open_connection(HOST, port))

    async def send(self, content: bytes) -> None:
        """Raises OSError where the connection is broken."""
        self._writer.write(content)
        await self._writer.drain()

    async def answer(self) -> Answer:
        """The next one. Raises OSError or EOFError where the connection ends before it is there."""
        head = (await self._head()).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        content = await self._reader.readexactly(int(fields.get("content-length", "0")))
        is_last = fields.get("connection") == "close"
        return Answer(int(head[0].split()[1]), fields.get("x-request-id", ""), content, is_last)

    async def ask(self, content: bytes) -> Answer:
        """Send, and wait for the answer."""
        await self.send(content)
        return await self.answer()

    async def until_closed(self) -> bytes:
        """All that comes until the other side closes."""
        parts: list[bytes] = []
        try:
            while part := await self._reader.read(1 << 16):
                parts.append(part)
        except OSError:
            pass
        return b"".join(parts)

    def finish(self) -> None:
        """Nothing more will be sent."""
        self._writer.write_eof()

    def close(self) -> None:
        """At once, without waiting."""
        self._writer.transport.abort()

    async def _head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")


async def ask_once(port: int, content: bytes) -> Answer:
    """Over a connection of its own. Raises OSError or EOFError, also where nothing comes for a minute."""
    async with asyncio.timeout(_PATIENCE):
        client = await Client.connect(port)
        try:
            return await client.ask(content)
        finally:
            client.close()
