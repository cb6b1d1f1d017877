"""Which PACS is meant, and what may be said of it."""

# ruff: noqa: E402 (nothing here can be imported without the extra)
from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

REASON = "the extra send isn't installed"
pytest.importorskip("dicomweb_client", reason=REASON)
pytest.importorskip("pynetdicom", reason=REASON)

from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.archive import Run
from cxrscribe.archive.sending.choice import PacsChoice
from cxrscribe.archive.sending.dicomweb import checked_url
from cxrscribe.archive.sending.document import Document, requests_of
from cxrscribe.archive.sending.patience import Patience
from cxrscribe.errors import InputError

WEB, NODE = "https://pacs.example/dicom-web", "pacs.example:104"


@pytest.mark.parametrize("options", [{}, {"dicomweb": WEB, "dicom": NODE}])
def test_one_pacs_is_given(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give the PACS, by --dicomweb URL or by --dicom HOST:PORT"):
        PacsChoice(**options).destination()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dicomweb": WEB, "calling": "A"}, "--calling goes with --dicom only"),
        ({"dicomweb": WEB, "called": "A"}, "--called goes with --dicom only"),
        ({"dicomweb": WEB, "max_pdu": 4096}, "--max-pdu goes with --dicom only"),
        ({"dicomweb": WEB, "tls": True}, "--tls goes with --dicom only"),
        ({"dicom": NODE, "token_file": Path("x")}, "--token-file goes with --dicomweb only"),
        ({"dicom": NODE, "insecure_http": True}, "--insecure-http goes with --dicomweb only"),
        ({"dicom": NODE, "ca": Path("x")}, "--ca goes with --tls only"),
        ({"dicom": NODE, "client_certificate": Path("x")}, "--client-certificate goes with --tls only"),
    ],
)
def test_options_without_meaning_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PacsChoice(**options).destination()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://PACS.example/dicom-web/", WEB),
        ("https://pacs.example:8443", "https://pacs.example:8443"),
        ("http://localhost:8042/dicom-web", "http://localhost:8042/dicom-web"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
    ],
)
def test_urls(url: str, name: str) -> None:
    assert checked_url(url) == name


@pytest.mark.parametrize(
    "host", ["pacs.example", "10.0.0.1", "127.0.0.1.evil.example", "localhost.evil.example"]
)
def test_plain_http_to_another_machine_is_refused_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(InputError, match=f"http://{host} would get names of patients unencrypted"):
        checked_url(f"http://{host}/dicom-web")
    assert checked_url(f"http://{host}/dicom-web", plain=True) == f"http://{host}/dicom-web"


@pytest.mark.parametrize("url", ["https://me:s3cr3t@pacs.example/", "https://s3cr3t@pacs.example/"])
def test_urls_with_a_user_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(InputError, match="give them by the environment") as error:
        checked_url(url)
    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pacs.example",
        "ftp://pacs.example",
        "https://",
        "https://a/?token=x",
        "https://a/#x",
        "https://a:b/",
        "https://ä/",
        "https://[/",
    ],
)
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(InputError, match="--dicomweb is no URL"):
        checked_url(url)


def test_without_the_extra_the_command_says_what_to_install(run: Run) -> None:
    program = (
        "import sys\n"
        "sys.modules[sys.argv[1]] = None\n"
        "from cxrscribe.cli.main import main\n"
        "main(sys.argv[2:])\n"
    )
    for module, *options in (("dicomweb_client", "--dicomweb", WEB), ("pynetdicom", "--dicom", NODE)):
        command = [sys.executable, "-c", program, module, "score", "send", run.place.url, *options]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        assert found.returncode == 2
        assert "needs the extra 'send'. Install it: pip install 'cxrscribe[send]'" in found.stderr


@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 6), st.integers(1, 100))
def test_requests_are_bounded_and_lose_nothing(sizes: Sequence[int], most: int, most_bytes: int) -> None:
    documents = [Document((row,), bytes(size), "", "", str(row)) for row, size in enumerate(sizes)]
    found = list(requests_of(documents, most, most_bytes))
    assert [each for some in found for each in some] == documents
    for some in found:
        assert 1 <= len(some) <= most
        assert len(some) == 1 or sum(len(each.content) for each in some) <= most_bytes


@given(st.integers(1, 20), st.floats(0, 300))
def test_pauses_grow_are_bounded_and_keep_to_what_is_asked(tried: int, asked: float) -> None:
    patience = Patience(tries=10)
    pause = patience.pause(tried, asked)
    if tried >= 10:
        assert pause is None
    else:
        assert pause is not None
        assert asked <= pause <= max(asked, min(30.0, 0.5 * 2 ** (tried - 1)))


def test_who_asks_for_a_long_wait_is_not_waited_for() -> None:
    assert Patience().pause(1, 301.0) is None
