"""A small DICOMweb service in this process, which does as it is told, and misbehaves as it is told."""

from __future__ import annotations

import json
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread

JSON = "application/dicom+json"


@dataclass
class Answer:
    """What goes back instead of what should."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: bool = False
    """The connection ends in the middle of the body."""
    hang: bool = False
    """Nothing comes, until the service ends."""
    raw: bytes = b""
    """All that comes, the head of the answer with it; then the connection ends."""


Trick = Callable[["Request"], Answer | None]


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    number: int
    """How many of this method there were, from 1."""

    def uids(self) -> list[str]:
        """The instances that a query asks for."""
        return [each for value in self.query.get("SOPInstanceUID", []) for each in value.split(",")]

    def documents(self) -> dict[str, bytes]:
        """By instance UID, of a STOW-RS request."""
        boundary = self.headers["content-type"].partition('boundary="')[2].partition('"')[0]
        parts = self.body.split(b"\r\n--" + boundary.encode())[1:-1]
        files = [part.partition(b"\r\n\r\n")[2] for part in parts]
        return {str(dcmread(BytesIO(file)).SOPInstanceUID): file for file in files}


@dataclass
class WebPacs:
    url: str = ""
    stored: dict[str, bytes] = field(default_factory=dict)
    arrivals: Counter[str] = field(default_factory=Counter)
    """How often a document was taken in, by UID."""
    requests: list[Request] = field(default_factory=list)
    trick: Trick = lambda request: None
    ended: Event = field(default_factory=Event)
    lock: Any = field(default_factory=Lock)
    hidden: set[str] = field(default_factory=set)
    """Stored, and not listed."""
    lists_everything: bool = False
    """Whatever a query asks for."""
    knows_lists: bool = True
    """Of UIDs in a query; else it takes the first for the only one."""

    def answer(self, request: Request) -> Answer:
        return self.trick(request) or self.proper(request)

    def proper(self, request: Request) -> Answer:
        if request.method == "POST":
            return self.store(request)
        parts = request.path.strip("/").split("/")[1:]  # studies/S/series/T/instances[/U]
        if len(parts) == 6:
            return self._retrieve(parts[5])
        return self._search(request, parts)

    def store(self, request: Request, refused: dict[str, int] | None = None) -> Answer:
        refused = refused or {}
        with self.lock:
            for instance, file in request.documents().items():
                if instance not in refused:
                    self.arrivals[instance] += 1
                    self.stored.setdefault(instance, file)  # as Orthanc does
        taken = [each for each in request.documents() if each not in refused]
        body: dict[str, Any] = {"00081199": {"vr": "SQ", "Value": [_reference(each) for each in taken]}}
        if refused:
            body["00081198"] = {
                "vr": "SQ",
                "Value": [
                    _reference(each) | {"00081197": {"vr": "US", "Value": [reason]}}
                    for each, reason in refused.items()
                ],
            }
        status = 200 if not refused else 202 if taken else 409
        return Answer(status, {"Content-Type": JSON}, json.dumps(body).encode())

    def _retrieve(self, instance: str) -> Answer:
        if instance not in self.stored:
            return Answer(404)
        kind = 'multipart/related; type="application/dicom"; boundary=mark'
        body = b"--mark\r\nContent-Type: application/dicom\r\n\r\n" + self.stored[instance] + b"\r\n--mark--"
        return Answer(200, {"Content-Type": kind}, body)

    def _search(self, request: Request, parts: list[str]) -> Answer:
        asked = request.uids()
        if not self.knows_lists:
            asked = asked[:1]
        if self.lists_everything:
            asked = list(self.stored)
        found = [each for each in asked if each in self.stored and each not in self.hidden]
        if not found:
            return Answer(204)
        items = [{"00080018": {"vr": "UI", "Value": [each]}} for each in found]
        return Answer(200, {"Content-Type": JSON}, json.dumps(items).encode())

    def counts(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)


def _reference(instance: str) -> dict[str, Any]:
    return {
        "00081150": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.11"]},
        "00081155": {"vr": "UI", "Value": [instance]},
    }


@contextmanager
def web_pacs(context: ssl.SSLContext | None = None) -> Iterator[WebPacs]:
    pacs = WebPacs()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with pacs.lock:
                number = pacs.counts(self.command) + 1
                request = Request(self.command, parts.path, parse_qs(parts.query), headers, body, number)
                pacs.requests.append(request)
            answer = pacs.answer(request)
            if answer.hang:
                pacs.ended.wait(60)
                self.close_connection = True
                return
            if answer.raw:
                self.close_connection = True
                self.wfile.write(answer.raw)
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            length = len(answer.body) + (100 if answer.cut else 0)
            if answer.status != 204:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(answer.body)
            if answer.cut:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that goes away in the middle is nothing to say

    server = Server(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    pacs.url = f"{scheme}://localhost:{server.server_port}/dicom-web"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-4)  # client and service are threads that wait for each other all the time
    thread.start()
    try:
        yield pacs
    finally:
        sys.setswitchinterval(before)
        pacs.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
