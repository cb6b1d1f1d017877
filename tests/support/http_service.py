"""A service of this process, on a thread, and clients that may be as bad as they like."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cxrscribe
from cxrscribe import Reporter
from cxrscribe.films.isolation import Isolation
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.server.access import Access
from cxrscribe.server.limits import Limits
from cxrscribe.server.listening import Listening, Place
from cxrscribe.server.log import Log

WAIT = 60.0
"""Seconds, for what takes none: a test that waits for ever says nothing."""
BOUNDARY = "XYZZY"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.json["error"]["code"])


class Running:
    """A service that answers, until it is stopped."""

    def __init__(
        self,
        load: Callable[[], Reporter],
        limits: Limits | None = None,
        access: Access | None = None,
        place: Place | None = None,
    ) -> None:
        self.lines: list[str] = []
        self.unanswered: int | None = None
        self.error: BaseException | None = None
        self._ready = Event()
        self.listening = Listening(
            load,
            place or Place(),
            access or Access(),
            limits or Limits(),
            warm=0,
            log=Log(self.lines.append),
        )
        self.url = self.listening.url
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.unanswered = asyncio.run(self.listening.run(lambda _url: self._ready.set()))
        except BaseException as error:
            self.error = error

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def wait_ready(self) -> None:
        assert self._ready.wait(WAIT)

    def wait_listening(self) -> None:
        """Until health is answered, which it is while the model is being loaded."""
        eventually(lambda: self.listening._server.started)

    def stop(self) -> None:
        self.listening.stop()
        self.thread.join(WAIT)
        assert not self.thread.is_alive()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), WAIT)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)) as connection:
            connection.request(method, path, body, dict(headers or {}))  # type: ignore[arg-type]
            return answer_of(connection)

    def report(self, film: bytes, query: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("POST", f"/v1/report{query}", film, headers)

    def form(self, parts: Sequence[tuple[str, str | None, bytes]], query: str = "") -> Answer:
        """`parts`: name, file name, content of each."""
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.ask("POST", f"/v1/report{query}", form(parts), {"Content-Type": kind})

    def metrics(self) -> str:
        return self.ask("GET", "/metrics").content.decode()

    def metric(self, name: str) -> float:
        (line,) = [line for line in self.metrics().splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def events(self, event: str = "request") -> list[dict[str, Any]]:
        return [line for line in map(json.loads, list(self.lines)) if line["event"] == event]


def answer_of(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())


def form(parts: Sequence[tuple[str, str | None, bytes]]) -> bytes:
    body = b""
    for name, file_name, content in parts:
        file = "" if file_name is None else f'; filename="{file_name}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n'
        if file_name is not None:
            head += "Content-Type: application/octet-stream\r\n"
        body += head.encode() + b"\r\n" + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def running(bundle: Path, **parts: Any) -> Iterator[Running]:
    """A service of a bundle, which reads films in this process; `parts` are those of Running."""
    service = Running(lambda: cxrscribe.load(bundle, device="cpu", isolation=Isolation("none")), **parts)
    try:
        service.wait_ready()
        yield service
    finally:
        service.stop()


def film(seed: int = 0) -> bytes:
    """A PNG of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def eventually(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


class Gate:
    """Readers that stop at one film until they are let through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
        self.reached, self.opened = Event(), Event()
        read = Preprocessing.read_shown

        def gated(preprocessing: Preprocessing, film: Any, *others: Any) -> Any:
            if film == content:
                self.reached.set()
                assert self.opened.wait(WAIT)
            return read(preprocessing, film, *others)

        monkeypatch.setattr(Preprocessing, "read_shown", gated)


def received(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
