"""Serves a built page for browsers (docs/browser.md) to this machine alone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import unquote

from cxrscribe.errors import InputError
from cxrscribe.regular_file import open_regular

LOOPBACK: Final = "127.0.0.1"

CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of the page and of its workers: nothing from elsewhere, nothing to anywhere else, within no other page."""

HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_POLICY,
    # Both together isolate the page: without that, browsers give it no threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The next page that is built may stand at the same address.
    "Cache-Control": "no-store",
}
"""Of every answer."""

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
_ANY_BYTES: Final = "application/octet-stream"


class PageServer(ThreadingHTTPServer):
    """Answers requests for the files that are in a folder, under addresses of this machine."""

    # A browser may keep a connection open for longer than the server lives.
    daemon_threads = True

    def __init__(
        self,
        folder: Path,
        port: int = 0,
        handler: type[BaseHTTPRequestHandler] | None = None,
    ) -> None:
        """`port` 0 is any that is free.

        Raises InputError for a folder without a page, and for a port that can't be used.
        """
        self.files = page_files(folder)
        try:
            super().__init__((LOOPBACK, port), handler or PageRequest)
        except OSError as error:
            raise InputError(
                f"port {port} of this machine can't be used ({error.strerror}); give another --port, or none"
            ) from None

    @property
    def hosts(self) -> set[str]:
        """What browsers of this machine call it; they leave out the port 80."""
        names = {LOOPBACK, "localhost"}
        return {f"{name}:{self.server_port}" for name in names} | (names if self.server_port == 80 else set())

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that close a connection before they have all of a file."""


class PageRequest(BaseHTTPRequestHandler):
    """One browser's requests."""

    server: PageServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """A file, or that there is none."""
        self._answer(has_content=True)

    def do_HEAD(self) -> None:
        """The same without the file."""
        self._answer(has_content=False)

    def _answer(self, has_content: bool) -> None:
        # Another site can let its own name mean this machine, and then read the page as if it were its own.
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            return self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this is another host")
        file = self.server.files.get(unquote(self.path.partition("?")[0]))
        try:
            stream = open_regular(file) if file else None
        except OSError:
            stream = None
        if file is None or stream is None:
            return self._refuse(HTTPStatus.NOT_FOUND, "there is no such file")
        with stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            self._begin(HTTPStatus.OK, _TYPES.get(file.suffix.lower(), _ANY_BYTES), size)
            if has_content:
                shutil.copyfileobj(stream, self.wfile)
        return None

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        text = f"{why}\n".encode()
        self._begin(status, _TYPES[".txt"], len(text))
        if self.command != "HEAD":
            self.wfile.write(text)

    def _begin(self, status: HTTPStatus, kind: str, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()

    def version_string(self) -> str:
        """Of this program, in the header Server."""
        return "cxrscribe"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: what a browser asks for is a page, of which there is nothing to tell."""


def page_files(folder: Path) -> dict[str, Path]:
    """The files of a page by the path of their address. What leads out of the folder isn't one of them.

    Raises InputError where there is no page.
    """
    if not (folder / "index.html").is_file() or not (folder / "model.onnx").is_file():
        raise InputError(
            f"{folder} has no page for browsers; build one with `make web` in a checkout of cxrscribe "
            "(docs/browser.md), and give its folder with --page"
        )
    home = folder.resolve()
    files = {
        f"/{PurePosixPath(*path.relative_to(folder).parts)}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.resolve().is_relative_to(home)
    }
    return {"/": folder / "index.html", **files}
