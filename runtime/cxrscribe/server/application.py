"""From a request to its answer: routes, access, bodies, errors, what is counted and logged."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from typing import Any, Final, TypeAlias

from cxrscribe.server.access import Access
from cxrscribe.server.bodies import Body, Receive
from cxrscribe.server.limits import HeldBytes, Limits
from cxrscribe.server.log import Log
from cxrscribe.server.metrics import CONTENT_TYPE as METRICS_TYPE
from cxrscribe.server.metrics import Gauges, Metrics
from cxrscribe.server.openapi import description
from cxrscribe.server.parameters import asked
from cxrscribe.server.problems import ClientGoneError, RequestError, busy
from cxrscribe.server.service import Service

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

REPORT: Final = "/v1/report"
MODEL: Final = "/v1/model"
LIVE: Final = "/health/live"
READY: Final = "/health/ready"
METRICS: Final = "/metrics"
OPENAPI: Final = "/openapi.json"

_METHODS: Final = {
    REPORT: ("POST",),
    MODEL: ("GET", "HEAD"),
    LIVE: ("GET", "HEAD"),
    READY: ("GET", "HEAD"),
    METRICS: ("GET", "HEAD"),
    OPENAPI: ("GET", "HEAD"),
}
_OPEN_TO_ALL: Final = (LIVE, READY)
_QUIET: Final = (LIVE, READY, METRICS)
"""Asked so often that they are logged only where something is wrong with the request."""
_KNOWN_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_OTHER: Final = "other"
_JSON: Final = "application/json"
_GONE: Final = 499
"""What is counted and logged where the client went away, as nginx does."""
# What the log calls a request. A random number for each would have to wait for the search to let it be drawn.
_PROCESS: Final = secrets.token_hex(4)
_NUMBERS: Final = count(1)
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 16 << 20


@dataclass
class Exchange:
    """One request and what becomes of it."""

    route: str
    method: str
    headers: dict[bytes, bytes]
    query: bytes
    id: str = field(default_factory=lambda: f"{_PROCESS}-{next(_NUMBERS):x}")
    began: float = field(default_factory=perf_counter)
    status: int = _GONE
    reason: str | None = None
    """Code of the error, or reason of the film's."""
    bytes: int = 0
    films: int = 0
    origin: str | None = None
    """The web page of elsewhere that may read the answer."""


@dataclass(frozen=True)
class Answer:
    """What is sent."""

    status: int
    content: bytes
    kind: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)


class Application:
    """The service as an ASGI application."""

    def __init__(
        self, service: Service, access: Access, limits: Limits, metrics: Metrics, held: HeldBytes, log: Log
    ) -> None:
        self._service = service
        self._access = access
        self._limits = limits
        self._metrics = metrics
        self._held = held
        self._log = log
        self.connections: Callable[[], int] = lambda: 0
        """How many are open."""
        self.unanswered = 0
        """Requests that had no report when the time to stop was over."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        path: str = scope["path"]
        method: str = scope["method"]
        exchange = Exchange(
            path if path in _METHODS else _OTHER,
            method if method in _KNOWN_METHODS else _OTHER,
            dict(scope["headers"]),
            scope["query_string"],
        )
        body = Body(receive, self._limits, self._held, scope.get("state"))
        try:
            answer = await self._answer_or_problem(exchange, body, receive)
            exchange.bytes = body.bytes
            if answer is not None:
                exchange.status = answer.status
                await self._send(exchange, answer, body, send)
        finally:
            body.release()
            self._note(exchange)

    async def _answer_or_problem(self, exchange: Exchange, body: Body, receive: Receive) -> Answer | None:
        """What to send; None where nobody is there to read it."""
        try:
            return await self._answer(exchange, body, receive)
        except ClientGoneError:
            exchange.reason = "client_gone"
            return None
        except asyncio.CancelledError:  # the time for answers is over
            self.unanswered += 1
            problem = busy("stopping", "the service stops; ask another one")
        except RequestError as error:
            problem = error
        except MemoryError as error:
            self._log.fault(error, "request", id=exchange.id)
            problem = busy("out_of_resources", "the machine is short of memory; try again soon")
        except Exception as error:
            self._log.fault(error, "request", id=exchange.id)
            problem = RequestError(500, "defect", "the service failed at this request; its log says where")
        exchange.reason = problem.reason or problem.code
        if problem.reason is None:  # films are counted where they are known
            self._metrics.errors[problem.code] += 1
        return Answer(problem.status, _dumped(problem.to_json(exchange.id)), headers=problem.headers)

    async def _answer(self, exchange: Exchange, body: Body, receive: Receive) -> Answer:
        if b"transfer-encoding" in exchange.headers and b"content-length" in exchange.headers:
            # A proxy in front may take the other one, and what follows for another client's request.
            raise RequestError(400, "two_lengths", "the body has a length and comes in chunks; leave one out")
        self._access.check_host(exchange.headers)
        exchange.origin = self._access.allowed_origin(exchange.headers)
        if exchange.method == "OPTIONS" and exchange.origin is not None and exchange.route in _METHODS:
            return Answer(204, b"", headers=_preflight(exchange.route))
        if exchange.route not in _OPEN_TO_ALL:
            self._access.check_token(exchange.headers)
        if exchange.route == _OTHER:
            raise RequestError(404, "not_found", f"there is no such address; there are {', '.join(_METHODS)}")
        if exchange.method not in _METHODS[exchange.route]:
            allowed = ", ".join(_METHODS[exchange.route])
            raise RequestError(
                405, "wrong_method", f"this address takes {allowed}", headers={"Allow": allowed}
            )
        if exchange.route == REPORT:
            return await self._report(exchange, body, receive)
        return self._read_only(exchange.route)

    async def _report(self, exchange: Exchange, body: Body, receive: Receive) -> Answer:
        wanted = asked(exchange.query, self._service.reporter.settings)
        films = await body.read(exchange.headers)
        self._metrics.body_bytes += body.bytes
        exchange.films = len(films.films)
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            return Answer(200, _dumped(await self._service.reports(films, wanted, gone)))
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    def _read_only(self, route: str) -> Answer:
        if route == LIVE:
            return _health(self._service.is_alive, "alive", "failed")
        if route == READY:
            stopping = "stopping" if self._service.is_stopping else "loading"
            return _health(self._service.is_ready, "ready", stopping if self._service.is_alive else "failed")
        if route == METRICS:
            return Answer(200, self._metrics.text(self._gauges()).encode(), METRICS_TYPE)
        if route == MODEL:
            return Answer(200, _dumped(self._service.model_json()))
        return Answer(200, _dumped(description(self._service.reporter.settings, self._limits)))

    def _gauges(self) -> Gauges:
        gauges = self._service.gauges()
        gauges.held_bytes, gauges.connections = self._held.held, self.connections()
        return gauges

    async def _send(self, exchange: Exchange, answer: Answer, body: Body, send: Send) -> None:
        headers = {
            "Content-Type": answer.kind,
            "Content-Length": str(len(answer.content)),
            "X-Request-ID": exchange.id,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            **answer.headers,
        }
        if exchange.origin is not None:
            headers |= {"Access-Control-Allow-Origin": exchange.origin, "Vary": "Origin"}
        is_early = not body.is_whole and _has_body(exchange.headers)
        if is_early or self._service.is_stopping:  # the rest of the body, or a next request, isn't wanted
            headers["Connection"] = "close"
        if answer.status == 204:
            del headers["Content-Length"], headers["Content-Type"]
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        if is_early:
            await send({"type": "http.response.body", "body": answer.content, "more_body": True})
            if b"expect" not in exchange.headers:  # such a client sends nothing before it is told to
                await body.discard(_LINGER_SECONDS, _LINGER_BYTES)
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": answer.content})

    def _note(self, exchange: Exchange) -> None:
        seconds = perf_counter() - exchange.began
        self._metrics.requests[exchange.route, exchange.method, exchange.status] += 1
        if exchange.route == REPORT:
            self._metrics.whole.add(seconds)
        if exchange.route in _QUIET and exchange.status in (200, 503):
            return
        self._log.event(
            "request",
            id=exchange.id,
            method=exchange.method,
            route=exchange.route,
            status=exchange.status,
            milliseconds=round(1000 * seconds, 1),
            bytes=exchange.bytes,
            films=exchange.films,
            reason=exchange.reason,
        )


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _health(is_well: bool, well: str, otherwise: str) -> Answer:
    return Answer(200 if is_well else 503, _dumped({"status": well if is_well else otherwise}))


def _preflight(route: str) -> dict[str, str]:
    return {
        "Access-Control-Allow-Methods": ", ".join(_METHODS[route]),
        "Access-Control-Allow-Headers": "Authorization, Content-Type, Content-Disposition",
        "Access-Control-Max-Age": "600",
    }


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def _dumped(value: object) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii") + b"\n"
