"""`cxrscribe demo --web`: a page on the loopback, and nothing else."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Thread

import pytest
from click.testing import Result

from cxrscribe.cli.page_server import HEADERS, PageServer

Run = Callable[..., Result]

FILES = {
    "index.html": b"<!doctype html><title>page</title>",
    "page.js": b"1;",
    "engine.wasm": b"\0asm",
    "model.onnx": b"model",
    "deep/one.svg": b"<svg/>",
    "odd name \xc3\xa4.bin".encode("latin-1").decode(): b"odd",
}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    folder = tmp_path / "page"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def server(page: Path) -> Iterator[PageServer]:
    with PageServer(page) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(
    server: PageServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True)
        if host != "":
            connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/index.html?encoder=webgpu", "index.html", "text/html; charset=utf-8"),
        ("/page.js", "page.js", "text/javascript; charset=utf-8"),
        ("/engine.wasm", "engine.wasm", "application/wasm"),
        ("/model.onnx", "model.onnx", "application/octet-stream"),
        ("/deep/one.svg", "deep/one.svg", "image/svg+xml"),
        ("/odd%20name%20%C3%A4.bin", "odd name ä.bin", "application/octet-stream"),
    ],
)
def test_files_have_their_types_and_all_headers(server: PageServer, path: str, name: str, kind: str) -> None:
    answer, content = ask(server, path)
    assert (answer.status, content) == (200, FILES[name])
    assert answer.headers["Content-Type"] == kind
    assert {header: answer.headers[header] for header in HEADERS} == dict(HEADERS)
    head, nothing = ask(server, path, "HEAD")
    assert (head.status, nothing, head.headers["Content-Length"]) == (200, b"", str(len(content)))


@pytest.mark.parametrize(
    "path",
    [
        "/deep",
        "/deep/",
        "http://[",
        "/../secret.txt",
        "/deep/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%00",
        "/page.js%00.html",
        "/page.js/",
        "/favicon.ico",
        "secret.txt",
        "/" + "a" * 5000,
    ],
)
def test_there_is_nothing_else(server: PageServer, path: str) -> None:
    answer, content = ask(server, path)
    assert answer.status == 404
    assert content == b"there is no such file\n"
    assert {header: answer.headers[header] for header in HEADERS} == dict(HEADERS)


def test_links_that_lead_out_are_no_part_of_the_page(page: Path, tmp_path: Path) -> None:
    try:
        (page / "out.txt").symlink_to(tmp_path / "secret.txt")
        (page / "within.js").symlink_to(page / "page.js")
    except OSError:
        pytest.skip("no links can be made here")
    with PageServer(page) as server:
        assert "/out.txt" not in server.files
        assert "/within.js" in server.files


def test_a_file_that_is_gone_is_not_there(server: PageServer, page: Path) -> None:
    (page / "page.js").unlink()
    assert ask(server, "/page.js")[0].status == 404


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}"]
)
def test_other_hosts_are_refused(server: PageServer, host: str) -> None:
    """Or a site whose name comes to mean this machine could read the page as its own."""
    answer, content = ask(server, "/", host=host.format(port=server.server_port))
    assert (answer.status, content) == (421, b"this is another host\n")


def test_localhost_is_this_machine(server: PageServer) -> None:
    assert ask(server, "/", host=f"LOCALHOST:{server.server_port}")[0].status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT"])
def test_it_only_gives(server: PageServer, method: str) -> None:
    assert ask(server, "/", method)[0].status == 501


def test_only_this_machine_can_ask(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_without_a_built_page_it_says_how_to_get_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cxrscribe.cli.demo.BUILT_PAGE", tmp_path / "build" / "web")
    result = run("demo", "--web")
    assert result.exit_code == 2
    assert "build one with `make web`" in result.stderr
    assert "--page" in result.stderr


def test_a_page_without_a_model_is_none(run: Run, page: Path) -> None:
    (page / "model.onnx").unlink()
    result = run("demo", "--web", "--page", page, "--no-browser")
    assert result.exit_code == 2
    assert "has no page for browsers" in result.stderr


def test_a_port_that_is_taken(run: Run, page: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        result = run("demo", "--web", "--page", page, "--no-browser", "--port", other.getsockname()[1])
    assert result.exit_code == 2
    assert "give another --port" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--web", "--json"], "--json goes without --web"),
        (["--web", "--out", "x"], "--out goes without --web"),
        (["--port", "8000"], "--port goes with --web"),
        (["--page", "x"], "--page goes with --web"),
        (["--no-browser"], "--no-browser goes with --web"),
    ],
)
def test_options_that_contradict_each_other(run: Run, arguments: list[str], said: str) -> None:
    result = run("demo", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("has_browser", [True, False])
def test_it_opens_the_browser(
    run: Run, page: Path, monkeypatch: pytest.MonkeyPatch, has_browser: bool
) -> None:
    opened = []

    def opens(url: str) -> bool:
        opened.append(url)
        return has_browser

    def interrupted(_: PageServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("webbrowser.open", opens)
    monkeypatch.setattr(PageServer, "serve_forever", interrupted)
    result = run("demo", "--web", "--page", page)
    assert result.exit_code == 0
    assert opened == result.stdout.split()
    assert ("no browser" in result.stderr) is not has_browser
    assert "Ended." in result.stderr


@pytest.mark.skipif("sys.platform == 'win32'", reason="a console's Ctrl-C can't be sent to one process there")
def test_ctrl_c_ends_it(page: Path) -> None:
    command = [sys.executable, "-m", "cxrscribe", "demo", "--web", "--page", str(page), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=20):  # a browser that keeps its connection
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 0
        assert "Ended." in process.stderr.read()
