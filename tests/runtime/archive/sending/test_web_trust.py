"""Who asks and whom is believed: tokens, certificates, redirections, and what is told of patients."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)


from cxrscribe.archive import Run, layout
from support.certificates import self_signed
from support.send_command import send, sent
from support.small_reports import small_report, uid
from support.web_pacs import Answer, WebPacs, web_pacs

Begin = Callable[..., Run]


@pytest.mark.parametrize("status", [401, 403])
def test_who_is_not_let_in_stops_at_once(run: Run, pacs: WebPacs, status: int) -> None:
    pacs.trick = lambda request: Answer(status, body=b"secret page of the server")
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 2
    assert f"doesn't let this sender in (HTTP {status})" in result.stderr
    assert "secret" not in result.output
    assert len(pacs.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirections_are_not_followed(
    run: Run, pacs: WebPacs, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", "s3cr3t-token")
    with web_pacs() as other:
        pacs.trick = lambda request: Answer(status, {"Location": f"{other.url}/\x1b[2J?s3cr3t"})
        result = send(run, "--dicomweb", pacs.url)
        assert result.exit_code == 2
        assert f"sends to http://localhost (HTTP {status}), which is not followed" in result.stderr
        assert other.requests == []


def test_token_goes_with_requests_and_nowhere_else(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", "s3cr3t-token")
    result = send(run, "--dicomweb", pacs.url)
    assert result.exit_code == 0
    assert {request.headers["authorization"] for request in pacs.requests} == {"Bearer s3cr3t-token"}
    assert "s3cr3t" not in result.output
    assert not [name for name in run.place.names(".") if b"s3cr3t" in run.place.read(name)]


def test_netrc_and_proxies_of_the_environment_are_not_used(
    run: Run, pacs: WebPacs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert sent(run, pacs)[0] == 0
    assert not any("authorization" in request.headers for request in pacs.requests)


def test_nothing_of_a_patient_is_told(run: Run, pacs: WebPacs) -> None:
    pacs.stored = {uid(3, 7): small_report(7, "Another text.")}
    pacs.trick = lambda request: (
        Answer(400, body=b"Doe^Jane P5")
        if request.method == "POST" and uid(3, 5) in request.documents()
        else None
    )
    result = send(run, "--dicomweb", pacs.url)
    told = [run.place.read(name) for name in run.place.names(layout.SENT_FOLDER)]
    for content in (result.output.encode(), *told):
        assert b"Doe" not in content
        assert b"P5" not in content
        assert uid(1, 5).encode() not in content  # the study


def test_certificates_are_checked_and_clients_have_theirs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = self_signed(tmp_path, "service")
    client = self_signed(tmp_path, "client", password="open sesame")
    with web_pacs(service.server(clients=client.certificate)) as pacs:
        result = send(run, "--dicomweb", pacs.url)
        assert result.exit_code == 2
        assert "is not to be believed" in result.stderr
        ca = ("--ca", str(service.certificate))
        result = send(run, "--dicomweb", pacs.url, *ca)
        assert result.exit_code == 2
        own = ("--client-certificate", str(client.certificate), "--client-key", str(client.key))
        result = send(run, "--dicomweb", pacs.url, *ca, *own)
        assert result.exit_code == 2
        assert "CXRSCRIBE_CLIENT_KEY_PASSWORD" in result.stderr
        monkeypatch.setenv("CXRSCRIBE_CLIENT_KEY_PASSWORD", "open sesame")
        code, found = sent(run, pacs, *ca, *own)
        assert (code, found["sent"]) == (0, 25)


def test_certificate_of_another_host_is_not_believed(run: Run, tmp_path: Path) -> None:
    service = self_signed(tmp_path, "service", hosts="DNS:elsewhere.example")
    with web_pacs(service.server()) as pacs:
        result = send(run, "--dicomweb", pacs.url, "--ca", str(service.certificate))
        assert result.exit_code == 2
        assert "is not to be believed" in result.stderr
