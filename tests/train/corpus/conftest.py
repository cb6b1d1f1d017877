"""A small collection in the Indiana format, and a web server that fails on demand."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cxrscribe_train.corpus.study import Study, write_study

STUDIES = (
    Study(
        "CXR1",
        ("CXR1_IM-1-1001", "CXR1_IM-1-2001"),
        "Lungs are clear.",
        "Normal.",
        "Cough",
        "None.",
        ("normal",),
    ),
    Study("CXR2", ("CXR2_IM-2-1001",), "", "Large heart.", mesh=("Cardiomegaly/mild", "Scoliosis")),
    Study("CXR10", (), "No effusion, no mass.", ""),
    Study("CXR9", ("CXR9_IM-9-1001",), "", ""),
)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder with four reports and two images, one of them named by no report."""
    root = tmp_path / "collection"
    for folder in ("ecgen-radiology", "images"):
        (root / folder).mkdir(parents=True)
    for study in STUDIES:
        (root / "ecgen-radiology" / f"{study.study_id[3:]}.xml").write_bytes(write_study(study))
    for name in ("CXR1_IM-1-2001", "stranger"):
        (root / "images" / f"{name}.png").write_bytes(b"")
    return root


@dataclass
class FileServer:
    """Serves `content` at every path.

    `cuts` holds, for the next answers, after how many bytes each breaks off; `errors` the statuses
    that the next answers have instead of content. `requests` collects (Range, If-Range) headers.
    """

    content: bytes
    etag: str | None = '"1"'
    ranges: bool = True
    honest_ranges: bool = True
    says_length: bool = True
    cuts: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    redirect: str | None = None
    requests: list[tuple[str | None, str | None]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one GET."""
        asked, condition = handler.headers["Range"], handler.headers["If-Range"]
        self.requests.append((asked, condition))
        if self.redirect or self.errors:
            handler.send_response(302 if self.redirect else self.errors.pop(0))
            handler.send_header("Location", self.redirect or "")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        start = 0
        match = re.fullmatch(r"bytes=(\d+)-", asked or "")
        if match and self.ranges and condition in (None, self.etag):
            start = int(match[1])
            if start >= len(self.content):
                handler.send_error(416)
                return
            handler.send_response(206)
            first = start if self.honest_ranges else 0
            handler.send_header("Content-Range", f"bytes {first}-{len(self.content) - 1}/{len(self.content)}")
        else:
            handler.send_response(200)
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.says_length:
            handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        handler.wfile.write(self.content[start:][: self.cuts.pop(0) if self.cuts else None])


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on this machine's loopback address, with 100 kB to download."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = FileServer(bytes(number * number % 251 for number in range(100_000)))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Keep the test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_port}/NLMCXR_reports.tgz"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()
