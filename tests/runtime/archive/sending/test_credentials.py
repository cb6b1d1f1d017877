"""Secrets come from the environment or one's own files, and are never shown."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from cxrscribe.archive.sending.credentials import Credentials, read_credentials, tls_context
from cxrscribe.errors import InputError

SECRET = "s3cr3t"


def private(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def test_nothing_given_is_nothing() -> None:
    assert read_credentials().headers == {}


def test_token_of_a_file(tmp_path: Path) -> None:
    found = read_credentials(private(tmp_path / "token", f" {SECRET}\n"))
    assert found.headers == {"Authorization": f"Bearer {SECRET}"}
    assert SECRET not in repr(found)


def test_token_of_the_environment_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", SECRET)
    assert read_credentials().headers == {"Authorization": f"Bearer {SECRET}"}
    assert "CXRSCRIBE_DICOMWEB_TOKEN" not in os.environ


def test_user_and_password_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_USER", "reader")
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_PASSWORD", "ä:b")
    pair = base64.b64encode("reader:ä:b".encode()).decode()
    assert read_credentials().headers == {"Authorization": f"Basic {pair}"}


@pytest.mark.parametrize("name", ["USER", "PASSWORD"])
def test_user_without_password_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"CXRSCRIBE_DICOMWEB_{name}", SECRET)
    with pytest.raises(InputError, match="go together") as error:
        read_credentials()
    assert SECRET not in str(error.value)


def test_two_who_ask_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXRSCRIBE_DICOMWEB_TOKEN", SECRET)
    headers = private(tmp_path / "headers", f"authorization: Negotiate {SECRET}\n")
    with pytest.raises(InputError, match="the headers file and CXRSCRIBE_DICOMWEB_TOKEN") as error:
        read_credentials(None, headers)
    assert SECRET not in str(error.value)


def test_headers_of_a_file(tmp_path: Path) -> None:
    file = private(tmp_path / "headers", "X-Api-Key: a b:c\n\nX-Tenant:7\n")
    assert read_credentials(None, file) == Credentials({"X-Api-Key": "a b:c", "X-Tenant": "7"})


@pytest.mark.parametrize(
    "line",
    [SECRET, f"a b: {SECRET}", "X:", f"X: {SECRET}\x00", f"X: {SECRET}é", f"Host: {SECRET}", "X: 1\nx: 2"],
)
def test_lines_that_are_no_headers_are_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"line [12] of the headers file") as error:
        read_credentials(None, private(tmp_path / "headers", line))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "content", ["", " \n", f"{SECRET} {SECRET}", f"{SECRET}\n{SECRET}", b"\xff", f"{SECRET}\x01"]
)
def test_what_is_no_token_is_refused_and_not_shown(tmp_path: Path, content: str | bytes) -> None:
    with pytest.raises(InputError, match="holds no token") as error:
        read_credentials(private(tmp_path / "token", content))
    assert SECRET not in str(error.value)


@pytest.mark.skipif(os.name != "posix", reason="files have no such rights here")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o602])
def test_files_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    file = private(tmp_path / "token", SECRET)
    file.chmod(mode)
    with pytest.raises(InputError, match=r"others may read the token file .*; chmod 600 it"):
        read_credentials(file)
    with pytest.raises(InputError, match="others may read the headers file"):
        read_credentials(None, file)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"token file .*nothing can't be read"):
        read_credentials(tmp_path / "nothing")
    with pytest.raises(InputError, match="more than 65,536 bytes"):
        read_credentials(private(tmp_path / "token", "a" * 65_537))


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    file = private(tmp_path / "ca", "nothing")
    with pytest.raises(InputError, match=r"--ca .* holds no certificates in PEM"):
        tls_context(file)
    with pytest.raises(InputError, match=r"--client-certificate .* can't be used"):
        tls_context(None, file)
    with pytest.raises(InputError, match="give both"):
        tls_context(None, None, file)
