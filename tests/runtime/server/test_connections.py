"""Clients that send rubbish, half of something, nothing, or all of it too slowly; and very many of them."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxrscribe.server.limits import Limits
from support.http_service import WAIT, Gate, Running, eventually, film, received, running

HEAD = b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_leave_the_service_as_it_was(service: Running, rubbish: bytes) -> None:
    with service.connect() as client:
        client.sendall(rubbish + b"\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        answer = received(client)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert service.ask("GET", "/health/ready").status == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n",
        b"POST /v1/report HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0",
    ],
)
def test_what_is_not_http_is_refused(service: Running, request_text: bytes) -> None:
    with service.connect() as client:
        try:
            client.sendall(request_text)
            client.shutdown(socket.SHUT_WR)
        except OSError:  # it has been closed already
            pass
        answer = received(client)
    assert b" 2" not in answer[:13]
    assert b"Traceback" not in answer
    assert service.ask("GET", "/health/ready").status == 200


@pytest.mark.parametrize("part", [b"", b"POST /v1/rep", HEAD[:-2], HEAD, HEAD + b"half a film"])
def test_half_a_request_is_given_up(fused_bundle: Path, part: bytes) -> None:
    limits = Limits(head_seconds=0.5, body_seconds=0.5, idle_seconds=1)
    with running(fused_bundle, limits=limits) as started, started.connect() as client:
        client.sendall(part)
        answer = received(client)
        assert answer.startswith(b"HTTP/1.1 408") if part else answer == b""
        eventually(lambda: started.metric("cxrscribe_held_bytes") == 0)


def test_bytes_that_trickle_do_not_keep_a_request_open(fused_bundle: Path) -> None:
    limits = Limits(head_seconds=0.5, body_seconds=0.5, body_rate=1e6)
    with running(fused_bundle, limits=limits) as started:
        for beginning in (b"GET / HTTP/1.1\r\n", HEAD):
            with started.connect() as client:
                client.sendall(beginning)
                end = time.monotonic() + WAIT
                client.settimeout(0.05)
                answer = b""
                while not answer:
                    assert time.monotonic() < end
                    try:
                        client.sendall(b"x")
                        answer = client.recv(1000)
                    except TimeoutError:
                        continue
                    except OSError:
                        break
            assert not answer or answer.startswith(b"HTTP/1.1 408")
        assert started.report(film()).status == 200


def test_an_idle_connection_is_closed(fused_bundle: Path) -> None:
    with running(fused_bundle, limits=Limits(idle_seconds=1)) as started, started.connect() as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert received(client).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("beginning", [b"", b"POST /v1/report HTTP/1.1\r\nHost: loc"])
def test_many_idle_connections_keep_nobody_out(fused_bundle: Path, beginning: bytes) -> None:
    with running(fused_bundle, limits=Limits(connections=10)) as started, ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(started.connect()).sendall(beginning)
        assert started.report(film()).status == 200
        assert started.metric("cxrscribe_connections") <= 11
        assert started.metric("cxrscribe_refused_connections_total") >= 90


def test_connections_at_work_are_not_closed_for_others(fused_bundle: Path) -> None:
    with running(fused_bundle, limits=Limits(connections=3)) as started, ExitStack() as clients:
        busy = [clients.enter_context(started.connect()) for _ in range(3)]
        for client in busy:
            client.sendall(HEAD[:-2] + b"Expect: 100-continue\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # its body is waited for
        eventually(lambda: b"503" in _first(started))
        for client in busy:
            client.sendall(film()[:1000].ljust(1000, b"x"))
            assert client.recv(100).startswith(b"HTTP/1.1 422")
            client.close()
        eventually(lambda: b"200" in _first(started))


def _first(started: Running) -> bytes:
    with started.connect() as client:
        try:
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return received(client)[:12]
        except OSError:
            return b""


def test_requests_in_a_row_on_one_connection_are_answered_in_order(service: Running) -> None:
    one = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
    with service.connect() as client:
        client.sendall((one + b"\r\n") * 3 + one + b"Connection: close\r\n\r\n")
        assert received(client).count(b"HTTP/1.1 200") == 4


def test_chunks_of_a_byte_are_refused_before_they_cost_others_their_time(service: Running) -> None:
    head = b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with service.connect() as client:
        client.sendall(head + b"1\r\nx\r\n" * 4000)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):  # these may be
            client.recv(1)
        client.settimeout(WAIT)
        client.sendall(b"1\r\nx\r\n" * 1000)
        assert received(client).startswith(b"HTTP/1.1 400")
    eventually(lambda: service.metric("cxrscribe_held_bytes") == 0)
    with service.connect() as client:
        large = film()
        sent = b"".join(
            b"%x\r\n%b\r\n" % (len(large[at : at + 64]), large[at : at + 64])
            for at in range(0, len(large), 64)
        )
        client.sendall(head + sent + b"0\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"


CHUNKED = b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("beginning", [b"", b"5\r\nabcde\r\n", b"5\r\nabcde"])
@pytest.mark.parametrize("rest", [b"zz\r\n", b"\r\n\r\n", b"-1\r\nx\r\n", b"0\r\nA b: c\r\n\r\n"])
def test_a_body_that_breaks_midway_is_answered(service: Running, beginning: bytes, rest: bytes) -> None:
    with service.connect() as client:
        client.sendall(CHUNKED + beginning)
        time.sleep(0.02)  # as a rule its reading has begun
        client.sendall(rest + b"x" * 100_000)
        answer = b""
        while not answer.endswith(b"}\n"):  # it is closed some time later, so that the answer arrives
            answer += client.recv(1000) or b"closed"
            assert b"closed" not in answer
    assert answer.startswith(b"HTTP/1.1 400")
    assert b'"code": "not_http"' in answer
    assert answer.count(b"HTTP/1.1 4") == 1
    eventually(lambda: service.metric("cxrscribe_held_bytes") == 0)


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("after", [b"zz\r\n\r\n", b"\r\n", b"\0" * 100_000])
def test_a_whole_film_has_its_report_whatever_comes_after_it(
    service: Running, monkeypatch: pytest.MonkeyPatch, close: bytes, after: bytes
) -> None:
    content = film()
    gate = Gate(monkeypatch, content)
    head = b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\n%bContent-Length: %d\r\n\r\n"
    with service.connect() as client:
        client.sendall(head % (close, len(content)) + content)
        assert gate.reached.wait(WAIT)
        client.sendall(after)
        time.sleep(0.05)  # as a rule it has come
        gate.opened.set()
        assert client.recv(12) == b"HTTP/1.1 200"


def test_a_client_that_never_reads_its_answers_has_no_place_for_good(fused_bundle: Path) -> None:
    asking = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000
    with running(fused_bundle, limits=Limits(idle_seconds=1)) as started, ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.connect(("127.0.0.1", started.port))
            client.setblocking(False)
            client.send(asking)
        unread = 'cxrscribe_errors_total{reason="answer_unread"} 2'
        eventually(lambda: unread in started.metrics())
        eventually(lambda: started.metric("cxrscribe_connections") == 1)
