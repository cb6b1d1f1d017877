"""Requests that are refused: each has its status, its code, and leaves the service as it was."""

from __future__ import annotations

import gc
import http.client
import os
import shutil
import socket
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxrscribe import Reporter
from cxrscribe.errors import FilmError, InputError, Reason
from cxrscribe.server.access import Access, checked_origins, hosts_of, read_token
from cxrscribe.server.limits import MOST_INDICATION_BYTES, Limits
from cxrscribe.server.listening import Place
from cxrscribe.server.parameters import PARAMETERS, asked
from cxrscribe.server.problems import RequestError
from cxrscribe.settings import BeamSettings
from support.http_service import BOUNDARY, Gate, Running, eventually, film, form, received, running


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("POST", "/v1/report/", 404, "not_found"),
        ("GET", "/v1/../etc/passwd", 404, "not_found"),
        ("GET", "/v1/report", 405, "wrong_method"),
        ("DELETE", "/metrics", 405, "wrong_method"),
        ("OPTIONS", "/v1/report", 405, "wrong_method"),
        ("BREW", "/v1/model", 405, "wrong_method"),
    ],
)
def test_addresses_and_methods(service: Running, method: str, path: str, status: int, code: str) -> None:
    answer = service.ask(method, path)
    assert (answer.status, answer.code) == (status, code)
    assert answer.json["error"]["request_id"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "query",
    [
        "beam_width=x",
        "beam_width=",
        "beam_width=3.0",
        "beam_width=0",
        "beam_width=65",
        "beam_width=99999999999999999999",
        "beam_width=٣",
        "beam_width=3&beam_width=3",
        "beam_width",
        "=3",
        "length_penalty=nan",
        "length_penalty=1e400",
        "length_penalty=11",
        "decoding=magic",
        "decoding=sample&beam_width=3",
        "temperature=0.5",
        "n_best=9&beam_width=2",
        "max_length=513",
        "min_length=9&max_length=8",
        "banned_words=nosuchword",
        "by=patient",
        "unknown=1",
        "indication=pain",
        "%ff=%fe",
        "beam_width=%ff",
        "&".join(["banned_words=a"] * 65),
        "a" * 9000,
    ],
)
def test_parameters(service: Running, query: str) -> None:
    answer = service.report(film(), "?" + "".join(c if ord(c) < 128 else "%D9%A3" for c in query))
    assert (answer.status, answer.code in ("wrong_parameter", "wrong_settings")) == (400, True)


def asked_or_status(query: bytes) -> BeamSettings | int:
    try:
        return asked(query, BeamSettings()).settings
    except RequestError as error:
        return error.status


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_query_is_settings_or_refused(query: bytes) -> None:
    found = asked_or_status(query)
    assert found == 400 or isinstance(found, BeamSettings)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([each.name for each in PARAMETERS]), st.text(max_size=8) | st.integers().map(str)
        ),
        max_size=4,
    )
)
def test_settings_of_a_query_are_within_what_is_allowed_here(pairs: list[tuple[str, str]]) -> None:
    found = asked_or_status(urlencode(pairs).encode())
    if not isinstance(found, BeamSettings):
        assert found == 400
        return
    for each in PARAMETERS:
        value = getattr(found, each.name, None)
        if each.least is not None and each.most is not None:
            assert each.least <= value <= each.most
    for name, text in pairs:
        if name in ("beam_width", "max_length", "seed"):
            assert getattr(found, name) == int(text)


def test_films_that_cannot_be_read(service: Running) -> None:
    answer = service.report(b"\x89PNG\r\n\x1a\n...")
    assert (answer.status, answer.code) == (422, "film_error")
    assert answer.json["error"]["reason"] in set(Reason)
    empty = service.report(b"")
    assert (empty.status, empty.code) == (400, "no_film")


def test_a_machine_short_of_something_is_no_fault_of_the_film(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object) -> None:
        raise FilmError("film: there are too many open files", Reason.OUT_OF_RESOURCES)

    monkeypatch.setattr("cxrscribe.films.preprocess.Preprocessing.read_shown", short)
    answer = service.report(film())
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "out_of_resources", "1")


def test_a_defect_is_said_without_its_words(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("SECRET of a patient")

    with monkeypatch.context() as patched:
        patched.setattr("cxrscribe.report_queue.ReportQueue.submit", fails)
        answer = service.report(film())
    assert (answer.status, answer.code) == (500, "defect")
    assert b"SECRET" not in answer.content
    assert b"Traceback" not in answer.content
    faults = service.events("fault")
    assert faults[-1]["error"] == "RuntimeError"
    assert faults[-1]["lines"]
    assert "SECRET" not in "".join(service.lines)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"nothing", f"multipart/form-data; boundary={BOUNDARY}", 400, "not_a_form"),
        (b"nothing", "multipart/form-data", 400, "not_a_form"),
        (b"nothing", "multipart/form-data; boundary=" + "x" * 300, 400, "not_a_form"),
        (
            form([("a", "a.png", b"...")])[:-30],
            f"multipart/form-data; boundary={BOUNDARY}",
            400,
            "not_a_form",
        ),
        (form([]), f"multipart/form-data; boundary={BOUNDARY}", 400, None),
        (form([("name", None, b"Doe")]), f"multipart/form-data; boundary={BOUNDARY}", 400, "wrong_part"),
        (form([("indication", None, b"pain")]), f"multipart/form-data; boundary={BOUNDARY}", 400, "no_film"),
        (
            form([("indication", None, b"\xff"), ("a", "a", b".")]),
            f"multipart/form-data; boundary={BOUNDARY}",
            400,
            "wrong_part",
        ),
        (
            form([("indication", None, b"a"), ("indication", None, b"b")]),
            f"multipart/form-data; boundary={BOUNDARY}",
            400,
            "wrong_part",
        ),
        (
            form([("indication", None, b"a" * (MOST_INDICATION_BYTES + 1))]),
            f"multipart/form-data; boundary={BOUNDARY}",
            413,
            "too_large",
        ),
        (form([("a", "a", b".")] * 65), f"multipart/form-data; boundary={BOUNDARY}", 413, "too_many_films"),
    ],
)
def test_forms(service: Running, body: bytes, kind: str, status: int, code: str | None) -> None:
    answer = service.ask("POST", "/v1/report", body, {"Content-Type": kind})
    assert answer.status == status
    assert code is None or answer.code == code


def test_an_encoded_body(service: Running) -> None:
    answer = service.report(film(), headers={"Content-Encoding": "gzip"})
    assert (answer.status, answer.code) == (415, "content_encoding")


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_while_it_comes(fused_bundle: Path, is_chunked: bool) -> None:
    with running(fused_bundle, limits=Limits(body_bytes=100_000)) as started:
        body = iter([b"x" * 60_000] * 2) if is_chunked else b"x" * 120_000
        answer = started.ask("POST", "/v1/report", body)
        assert (answer.status, answer.code) == (413, "too_large")
        assert answer.headers["connection"] == "close"
        parts = form([("a", "a", b"x" * 60_000), ("b", "b", b"x" * 60_000)])
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        assert started.ask("POST", "/v1/report", parts, {"Content-Type": kind}).status == 413
        with started.connect() as client:  # nothing has to be sent first
            client.sendall(b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 120000\r\n")
            client.sendall(b"Expect: 100-continue\r\n\r\n")
            assert received(client).startswith(b"HTTP/1.1 413")
        assert started.metric("cxrscribe_held_bytes") == 0
        assert started.report(film()).status == 200


def test_a_full_queue_and_full_memory_and_a_deadline(
    fused_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = film(98)
    gate = Gate(monkeypatch, slow)
    limits = Limits(waiting=2, deadline=3.0, held_bytes=3 * len(slow), body_bytes=3 * len(slow))
    with running(fused_bundle, limits=limits) as started:
        with ThreadPoolExecutor(2) as clients:
            late = [clients.submit(started.report, slow) for _ in range(2)]
            eventually(lambda: started.metric("cxrscribe_waiting") == 2)
            full = started.report(b"tiny")
            assert (full.status, full.code, full.headers["retry-after"]) == (503, "full", "1")
            crowded = started.report(slow + slow)
            assert (crowded.status, crowded.code) == (503, "too_many_bytes")
            assert {each.result().status for each in late} == {504}
        assert started.metric("cxrscribe_waiting") == 0
        gate.opened.set()
        eventually(lambda: started.report(film(1)).status == 200)
        assert started.metric("cxrscribe_held_bytes") == 0


def test_whoever_goes_away_leaves_the_queue(fused_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = film(97)
    gate = Gate(monkeypatch, slow)
    with running(fused_bundle, limits=Limits(waiting=1)) as started:
        client = started.connect()
        head = f"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(slow)}\r\n\r\n"
        client.sendall(head.encode() + slow)
        eventually(lambda: started.metric("cxrscribe_waiting") == 1)
        client.close()
        eventually(lambda: started.metric("cxrscribe_waiting") == 0)
        gate.opened.set()
        assert started.report(film(1)).status == 200
        assert [event["status"] for event in started.events()][:1] == [499]
        gc.collect()
        assert not started.events("fault")  # a client that goes away is none
        assert started.metric("cxrscribe_held_bytes") == 0


def test_a_token(fused_bundle: Path) -> None:
    token = "0123456789abcdef-SECRET"
    with running(fused_bundle, access=Access(token=token.encode())) as started:
        for given_header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {token}"}):
            for method, path in (("POST", "/v1/report"), ("GET", "/metrics"), ("GET", "/nowhere")):
                answer = started.ask(method, path, film() if method == "POST" else None, given_header)
                assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert started.report(film(), headers={"Authorization": f"Bearer {token}"}).status == 200
        assert started.ask("GET", "/health/ready").status == 200
        assert "SECRET" not in "".join(started.lines)


def test_tokens_of_files_and_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXRSCRIBE_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("CXRSCRIBE_TOKEN", "a" * 16)
    assert read_token(None) == b"a" * 16
    assert "CXRSCRIBE_TOKEN" not in os.environ  # which processes that read films are given
    file = tmp_path / "token"
    file.write_text("b" * 20 + "\n")
    assert read_token(file) == b"b" * 20
    for wrong in ("short", "with a space in its midst", ""):
        file.write_text(wrong)
        with pytest.raises(InputError) as error:
            read_token(file)
        assert not wrong or wrong not in str(error.value)
    with pytest.raises(InputError):
        read_token(tmp_path)


def test_names_of_this_machine_and_pages_of_elsewhere(fused_bundle: Path) -> None:
    access = Access(
        hosts=hosts_of("127.0.0.1", ("me.example",)), origins=checked_origins(("https://v.example",))
    )
    with running(fused_bundle, access=access) as started:

        def status(**headers: str) -> int:
            return started.ask("GET", "/v1/model", headers=headers).status

        for name in ("evil.example", "[::1].evil.example", "localhost:1@evil.example", "localhost:1:2", ""):
            assert status(Host=name) == 421
        assert {status(Host=f"{name}:1") for name in ("localhost", "127.0.0.1", "[::1]", "ME.example")} == {
            200
        }
        assert status(Origin="https://evil.example") == 403
        assert status(Origin="null") == 403
        assert status(Origin=f"http://127.0.0.1:{started.port}") == 200
        allowed = started.report(film(), headers={"Origin": "https://v.example"})
        assert allowed.headers["access-control-allow-origin"] == "https://v.example"
        ahead = started.ask("OPTIONS", "/v1/report", headers={"Origin": "https://v.example"})
        assert (ahead.status, "POST" in ahead.headers["access-control-allow-methods"]) == (204, True)
        plain = started.report(film())
        assert "access-control-allow-origin" not in plain.headers


def test_addresses_that_others_reach_have_any_name_and_origins_are_checked() -> None:
    assert hosts_of("0.0.0.0", ()) is None
    assert hosts_of(None, ("x",)) is None
    assert "10.0.0.1" in (hosts_of("10.0.0.1", ("x",)) or ())
    for wrong in ("*", "viewer.example", "https://v.example/page", "ftp://v.example"):
        with pytest.raises(InputError):
            checked_origins((wrong,))


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Place:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine, to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "c.pem", folder / "k.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*made, *names, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return Place(certificate=certificate, key=key)


def status_over_tls(started: Running, place: Place) -> int:
    trusting = ssl.create_default_context(cafile=str(place.certificate))
    client = http.client.HTTPSConnection("127.0.0.1", started.port, timeout=60, context=trusting)
    with closing(client):
        client.request("POST", "/v1/report", film())
        return client.getresponse().status


def test_tls(fused_bundle: Path, certified: Place) -> None:
    with running(fused_bundle, place=certified) as started:
        assert started.url.startswith("https://127.0.0.1:")
        assert status_over_tls(started, certified) == 200
        with started.connect() as plain:
            plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" not in received(plain)
        trusting = ssl.create_default_context(cafile=str(certified.certificate))
        with (
            started.connect() as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3)
            assert client.recv(12) == b"HTTP/1.1 200"


def test_handshakes_that_never_end_keep_nobody_out(fused_bundle: Path, certified: Place) -> None:
    limits = Limits(connections=4, head_seconds=60)
    with running(fused_bundle, place=certified, limits=limits) as started, ExitStack() as clients:
        counted = started.listening._server.server_state.connections
        for number in range(20):
            client = clients.enter_context(started.connect())
            client.sendall(b"\x16\x03\x01" if number % 2 else b"")
            eventually(lambda: len(counted) == min(4, number + 1))  # noqa: B023
        assert status_over_tls(started, certified) == 200
        assert len(counted) <= 4


def test_a_handshake_has_as_long_as_headers_have(fused_bundle: Path, certified: Place) -> None:
    with running(fused_bundle, place=certified, limits=Limits(head_seconds=0.3)) as started:
        with started.connect() as client:
            client.sendall(b"\x16\x03\x01")
            assert received(client) == b""
        eventually(lambda: not started.listening._server.server_state.connections)
        assert status_over_tls(started, certified) == 200


def test_limits_are_above_zero() -> None:
    for wrong in ({"body_bytes": 0}, {"waiting": 1.5}, {"deadline": 0}, {"grace": float("nan")}):
        with pytest.raises(InputError):
            Limits(**wrong)  # type: ignore[arg-type]


def test_a_network_that_fails_is_a_defect_of_these_requests_alone(
    service: Running, reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("the engine failed")

    with monkeypatch.context() as patched:
        patched.setattr("cxrscribe.networks.encoder.Encoder.encode", fails)
        assert service.report(film(5)).status == 500
    assert service.report(film(5)).json["text"] == reporter.report(film(5)).text


SECRET = "Roentgen^Anna"


@pytest.mark.parametrize("broken", ["networks.encoder.Encoder.encode", "search.scheduler.Scheduler.step"])
def test_a_model_that_fails_at_every_call_asks_for_a_new_start(
    fused_bundle: Path, reporter: Reporter, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(SECRET)

    with running(fused_bundle) as started:
        with monkeypatch.context() as patched:
            patched.setattr(f"cxrscribe.{broken}", fails)
            for number in range(16):
                assert started.ask("GET", "/health/live").status == 200, number
                assert started.ask("GET", "/health/ready").status == 200
                assert (failed := started.report(film())).status == 500
                assert SECRET.encode() not in failed.content
            for address in ("/health/live", "/health/ready"):
                answer = started.ask("GET", address)
                assert (answer.status, answer.json) == (503, {"status": "failed"})
            assert len(started.events("fault")) == 16
            assert SECRET not in "".join(started.lines)
        assert started.report(film(5)).json["text"] == reporter.report(film(5)).text
        assert started.ask("GET", "/health/live").status == 200


def test_a_machine_without_memory_is_asked_again(service: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError(SECRET)

    for broken in ("networks.encoder.Encoder.encode", "search.scheduler.Scheduler.step"):
        with monkeypatch.context() as patched:
            patched.setattr(f"cxrscribe.{broken}", fails)
            answer = service.report(film())
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "out_of_resources", "1")
        assert service.report(film()).status == 200
    assert SECRET not in "".join(service.lines)


def test_half_a_connection(service: Running) -> None:
    with service.connect() as client:
        client.sendall(b"POST /v1/report HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1 2" not in received(client)
    eventually(lambda: service.metric("cxrscribe_held_bytes") == 0)
