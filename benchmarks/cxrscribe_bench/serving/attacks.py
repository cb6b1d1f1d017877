"""Clients that send garbage, send half, or only connect; and whether the others notice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import median
from time import perf_counter

from cxrscribe_bench.serving.client import Client, ask_once, film_request, request
from cxrscribe_bench.serving.service import Memory, ServedProcess

_AT_ONCE = 32
_LAST = b"Connection: close"
_READY = request("GET", "/health/ready")


@dataclass
class Neighbour:
    """An honest client, beside the others."""

    latencies: list[float] = field(default_factory=list)
    """Seconds of each of its reports."""
    failed: int = 0
    """Its requests that got no report, or another one than they should."""

    def to_json(self) -> dict[str, object]:
        """Numbers alone."""
        seconds = self.latencies
        return {
            "reports": len(seconds),
            "failed": self.failed,
            "median_ms": 1e3 * median(seconds) if seconds else None,
            "longest_ms": 1e3 * max(seconds) if seconds else None,
        }


@asynccontextmanager
async def neighbour(port: int, film: bytes, text: str) -> AsyncIterator[Neighbour]:
    """Asks for one film's report again and again, over a new connection each time, until the block ends."""
    found = Neighbour()
    content = film_request(film)
    has_ended = asyncio.Event()

    async def ask() -> None:
        while True:
            began = perf_counter()
            try:
                answer = await ask_once(port, content)
            except (OSError, EOFError):
                found.failed += 1
            else:
                if answer.status == 200 and answer.text == text:
                    found.latencies.append(perf_counter() - began)
                else:
                    found.failed += 1
            if has_ended.is_set():
                return
            await asyncio.sleep(0.02)

    task = asyncio.create_task(ask())
    try:
        yield found
    finally:
        has_ended.set()
        await task


@dataclass
class Attacked:
    """What attackers got."""

    tries: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    """By status; `closed` where the connection ended without one, `no` where it wasn't made."""
    seconds: list[float] = field(default_factory=list)
    """That each connection was open."""

    def to_json(self) -> dict[str, object]:
        """Numbers alone."""
        return {
            "tries": self.tries,
            "answers": dict(sorted(self.answers.items())),
            "longest_open_s": round(max(self.seconds, default=0.0), 2),
        }


async def garbage(port: int, film: bytes, tries: int, seed: int = 0) -> Attacked:
    """Bytes that are no request, requests that make no sense, and films that are none."""
    random = Random(seed)
    return await _attacked(port, [_garbage(random, film) for _ in range(tries)], half=False)


async def half_requests(port: int, film: bytes, tries: int, *, hold: bool, seed: int = 0) -> Attacked:
    """Requests that end somewhere. `hold`: the client then waits until the service has had enough of it."""
    random = Random(seed)
    whole = film_request(film)
    head = whole.index(b"\r\n\r\n")
    cuts = [random.randrange(0, head if number % 2 else len(whole)) for number in range(tries)]
    return await _attacked(port, [whole[:cut] for cut in cuts], half=True, hold=hold)


@dataclass
class Crowd:
    """Many connections that ask for nothing."""

    wanted: int
    made: int = 0
    """That the service's side took at first."""
    open: int = 0
    """Still, when all had been made."""
    seconds: float = 0.0
    """To make them all."""
    before: Memory | None = None
    during: Memory | None = None
    is_ready: bool = False
    """Whether a new client was answered among them."""

    def to_json(self) -> dict[str, object]:
        """Numbers alone."""
        return {
            "wanted": self.wanted,
            "made": self.made,
            "open_when_all_were_made": self.open,
            "seconds": round(self.seconds, 2),
            "answers_others": self.is_ready,
            "memory_before": self.before and self.before.to_json(),
            "memory_during": self.during and self.during.to_json(),
        }


async def crowd(service: ServedProcess, wanted: int) -> Crowd:
    """Make so many connections, and look whether the service answers a further one."""
    found = Crowd(wanted, before=service.memory())
    clients: list[Client] = []
    ends: list[asyncio.Task[bytes]] = []
    limit = asyncio.Semaphore(_AT_ONCE)

    async def connect() -> None:
        async with limit:
            try:
                client = await Client.connect(service.port)
            except OSError:
                return
        clients.append(client)
        ends.append(asyncio.create_task(client.until_closed()))

    began = perf_counter()
    try:
        await asyncio.gather(*(connect() for _ in range(wanted)))
        found.seconds = perf_counter() - began
        found.made = len(clients)
        try:
            found.is_ready = (await ask_once(service.port, _READY)).status == 200
        except (OSError, EOFError):
            found.is_ready = False
        found.open = sum(not end.done() for end in ends)
        found.during = service.memory()
    finally:
        for client in clients:
            client.close()
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    return found


async def _attacked(port: int, contents: Sequence[bytes], *, half: bool, hold: bool = True) -> Attacked:
    found = Attacked(len(contents))
    limit = asyncio.Semaphore(len(contents) if half else _AT_ONCE)

    async def send(content: bytes) -> None:
        async with limit:
            began = perf_counter()
            try:
                client = await Client.connect(port)
            except OSError:
                found.answers["no"] += 1
                return
            try:
                await client.send(content)
                if not hold:
                    found.answers["left"] += 1
                    return
                if not half and _LAST not in content:
                    client.finish()
                came = await client.until_closed()
            except OSError:
                came = b""
            finally:
                client.close()
            found.seconds.append(perf_counter() - began)
            found.answers[came[9:12].decode("latin-1") if came.startswith(b"HTTP/1.1 ") else "closed"] += 1

    await asyncio.gather(*map(send, contents))
    return found


def _garbage(random: Random, film: bytes) -> bytes:
    noise = random.randbytes(random.randrange(1, 4096))
    lines = [
        noise,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise,
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n" + noise,
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + noise,
        b"GET /" + b"a" * random.randrange(1, 1 << 17) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 5000 + b"\r\n",
        _only(film_request(noise)),
        _only(film_request(film[: random.randrange(1, len(film))])),
        _only(film_request(_damaged(random, film))),
        film_request(film, "?beam_width=x"),
        film_request(film, "?beam_width=100000"),
        film_request(film, "?" + noise[:50].hex() + "=1"),
        request("POST", "/../../etc/passwd", noise),
        request("DELETE", "/v1/report", noise),
    ]
    return random.choice(lines)


def _only(content: bytes) -> bytes:
    """The request, after whose answer the service is to close the connection."""
    return content.replace(b"\r\n\r\n", b"\r\n" + _LAST + b"\r\n\r\n", 1)


def _damaged(random: Random, film: bytes) -> bytes:
    damaged = bytearray(film)
    for _ in range(8):
        damaged[random.randrange(len(film))] = random.randrange(256)
    return bytes(damaged)
