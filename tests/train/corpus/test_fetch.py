from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.fetch import Trust, fetch, record_file
from cxrscribe_train.corpus.transfer import Retries, _SafeRedirects

if TYPE_CHECKING:
    from conftest import FileServer

AT_ONCE = Retries(limit=3, pause=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "NLMCXR_reports.tgz"


def _leave_part(server: FileServer, path: Path, size: int) -> None:
    """Break a first attempt off after `size` bytes, as a switched-off machine would."""
    server.cuts.append(size)
    with pytest.raises(InputError, match=r"Run the command again to go on from .*\.part"):
        fetch(server.url, path, retries=Retries(limit=0, pause=0))
    server.requests.clear()


def test_a_first_download_is_whole_recorded_and_leaves_no_part(file_server: FileServer, path: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    fetched = fetch(file_server.url, path, progress=lambda done, size: steps.append((done, size)))
    assert path.read_bytes() == file_server.content
    assert (fetched.trust, fetched.downloaded, fetched.size) == (Trust.FIRST, True, 100_000)
    assert (
        json.loads(record_file(path).read_text())["sha256"] == hashlib.sha256(file_server.content).hexdigest()
    )
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".json"]
    assert steps[-1] == (100_000, 100_000)


def test_a_broken_download_resumes_where_it_stopped(file_server: FileServer, path: Path) -> None:
    _leave_part(file_server, path, 30_000)
    notes: list[str] = []
    fetch(file_server.url, path, retries=AT_ONCE, note=notes.append)
    assert file_server.requests == [("bytes=30000-", '"1"')]
    assert path.read_bytes() == file_server.content
    assert notes == []


def test_truncated_answers_are_retried_within_one_call(file_server: FileServer, path: Path) -> None:
    # More breaks than tries: each brings something, so none counts against the limit.
    file_server.cuts = [10_000] * 6
    notes: list[str] = []
    fetch(file_server.url, path, retries=AT_ONCE, note=notes.append)
    assert path.read_bytes() == file_server.content
    assert len(file_server.requests) == 7
    assert notes[0] == (
        "the server stopped early, at 10,000 of 100,000 bytes after 10,000 bytes of NLMCXR_reports.tgz"
    )


def test_a_server_without_ranges_starts_again(file_server: FileServer, path: Path) -> None:
    file_server.ranges = False
    _leave_part(file_server, path, 30_000)
    notes: list[str] = []
    fetch(file_server.url, path, retries=AT_ONCE, note=notes.append)
    assert path.read_bytes() == file_server.content
    assert "from its start" in notes[0]


def test_a_file_that_changed_between_attempts_is_not_patched_together(
    file_server: FileServer, path: Path
) -> None:
    _leave_part(file_server, path, 30_000)
    file_server.content, file_server.etag = file_server.content[::-1], '"2"'
    fetch(file_server.url, path, retries=AT_ONCE)
    assert path.read_bytes() == file_server.content


def test_a_changed_size_without_etag_starts_again(file_server: FileServer, path: Path) -> None:
    file_server.etag = None
    _leave_part(file_server, path, 30_000)
    file_server.content = file_server.content[::-1] + b"more"
    notes: list[str] = []
    fetch(file_server.url, path, retries=AT_ONCE, note=notes.append)
    assert path.read_bytes() == file_server.content
    assert "has changed on the server" in notes[0]


def test_a_weak_etag_is_not_sent_as_a_condition(file_server: FileServer, path: Path) -> None:
    file_server.etag = 'W/"1"'
    _leave_part(file_server, path, 30_000)
    fetch(file_server.url, path, retries=AT_ONCE)
    assert file_server.requests == [("bytes=30000-", None)]


def test_a_file_that_shrank_is_answered_416_and_starts_again(file_server: FileServer, path: Path) -> None:
    _leave_part(file_server, path, 30_000)
    file_server.content = file_server.content[:20_000]
    notes: list[str] = []
    fetch(file_server.url, path, retries=AT_ONCE, note=notes.append)
    assert path.read_bytes() == file_server.content
    assert "no bytes after" in notes[0]


def test_other_bytes_than_asked_for_are_not_used(file_server: FileServer, path: Path) -> None:
    _leave_part(file_server, path, 30_000)
    file_server.honest_ranges = False
    fetch(file_server.url, path, retries=AT_ONCE)
    assert path.read_bytes() == file_server.content


def test_a_part_of_another_address_is_not_used(file_server: FileServer, path: Path) -> None:
    _leave_part(file_server, path, 30_000)
    file_server.content = file_server.content[::-1]
    fetch(file_server.url + "?mirror", path, retries=AT_ONCE)
    assert path.read_bytes() == file_server.content


def test_a_whole_part_needs_no_request(file_server: FileServer, path: Path) -> None:
    _leave_part(file_server, path, 99_999)
    with path.with_name(path.name + ".part").open("ab") as part:
        part.write(file_server.content[-1:])
    fetch(file_server.url, path)
    assert file_server.requests == []
    assert path.read_bytes() == file_server.content


def test_busy_servers_are_asked_again_and_refusals_are_not(file_server: FileServer, path: Path) -> None:
    file_server.errors = [503, 500, 429]
    fetch(file_server.url, path, retries=AT_ONCE)
    assert len(file_server.requests) == 4
    path.unlink()
    file_server.errors = [404]
    with pytest.raises(InputError, match="404 Not Found; check the address"):
        fetch(file_server.url, path, retries=AT_ONCE)
    file_server.errors = [503] * 4
    with pytest.raises(InputError, match=r"503.*gave up after 4 tries"):
        fetch(file_server.url, path, retries=AT_ONCE)


def test_pauses_double_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    for failures in range(1, 9):
        Retries().wait(failures)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


def test_nobody_listening_is_retried_then_told(path: Path) -> None:
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9.*no connection.*gave up after 2 tries"):
        fetch("http://127.0.0.1:9/x.tgz", path, retries=Retries(limit=1, pause=0))


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://host/x", "NLMCXR.tgz", "http://", "http://host/a b"]
)
def test_what_is_no_web_address_is_refused(path: Path, url: str) -> None:
    with pytest.raises(InputError, match=r"is no .*address"):
        fetch(url, path)


def test_a_redirect_to_another_protocol_is_refused(file_server: FileServer, path: Path) -> None:
    file_server.redirect = "file:///etc/hostname"
    with pytest.raises(InputError, match="302"):
        fetch(file_server.url, path, retries=AT_ONCE)


def test_a_wrong_given_checksum_keeps_the_file_aside(file_server: FileServer, path: Path) -> None:
    with pytest.raises(InputError, match=rf"not {'0' * 64} \(the given value\).*rejected"):
        fetch(file_server.url, path, sha256="0" * 64)
    assert [file.name for file in path.parent.iterdir()] == ["NLMCXR_reports.tgz.rejected"]
    good = hashlib.sha256(file_server.content).hexdigest()
    assert fetch(file_server.url, path, sha256=good.upper()).trust == Trust.GIVEN


def test_the_recorded_checksum_holds_for_later_downloads(file_server: FileServer, path: Path) -> None:
    fetch(file_server.url, path)
    path.unlink()
    assert fetch(file_server.url, path).trust == Trust.RECORDED
    path.unlink()
    file_server.content = file_server.content[::-1]
    with pytest.raises(InputError, match="the value recorded at the first download"):
        fetch(file_server.url, path)
    assert not path.exists()


def test_a_file_that_is_there_is_verified_without_a_request(file_server: FileServer, path: Path) -> None:
    fetch(file_server.url, path)
    file_server.requests.clear()
    assert not fetch(file_server.url, path).downloaded
    assert file_server.requests == []
    path.write_bytes(b"damaged")
    with pytest.raises(InputError, match="move it away"):
        fetch(file_server.url, path)
    record_file(path).unlink()
    with pytest.raises(InputError, match="without a record"):
        fetch(file_server.url, path)
    assert not fetch(file_server.url, path, sha256=hashlib.sha256(path.read_bytes()).hexdigest()).downloaded
    assert fetch(file_server.url, path).trust == Trust.RECORDED


def test_a_download_that_nothing_can_verify_is_refused(file_server: FileServer, path: Path) -> None:
    file_server.says_length = False
    with pytest.raises(InputError, match="gives no size"):
        fetch(file_server.url, path)
    good = hashlib.sha256(file_server.content).hexdigest()
    assert fetch(file_server.url, path, sha256=good, retries=AT_ONCE).size == 100_000


@pytest.mark.parametrize("record", ["{", "[]", '{"url": "x", "size": 1, "sha256": "abc"}'])
def test_a_damaged_record_is_refused(file_server: FileServer, path: Path, record: str) -> None:
    path.parent.mkdir()
    record_file(path).write_text(record)
    with pytest.raises(InputError, match="no record of a download"):
        fetch(file_server.url, path)


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64])
def test_a_checksum_of_another_shape_is_refused(path: Path, sha256: str) -> None:
    with pytest.raises(InputError, match="64 hexadecimal digits"):
        fetch("https://host/x", path, sha256=sha256)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("host/file.tgz", "no http or https address"),
        ("http://[::1/file.tgz", "Invalid IPv6 URL"),
        ("http://127.0.0.1:1/x\xe4", "percent-encoded"),
        (f"http://{'a' * 70}.com/x", "label empty or too long"),
        ("http://127.0.0.1:1/a b", "no address"),
    ],
)
def test_what_is_no_address_is_refused(path: Path, url: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fetch(url, path, retries=Retries(limit=0, pause=0))


def test_too_little_space_is_told_before_anything_is_written(
    file_server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=99_999))
    with pytest.raises(InputError, match="99,999 bytes free, and 100,000 more are needed"):
        fetch(file_server.url, path)


def test_old_bytes_are_not_kept_under_a_new_mark(
    file_server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _leave_part(file_server, path, 30_000)
    file_server.content, file_server.etag = file_server.content[::-1], '"2"'
    with monkeypatch.context() as crowded:
        crowded.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
        with pytest.raises(InputError, match="0 bytes free"):
            fetch(file_server.url, path)
    fetch(file_server.url, path)
    assert path.read_bytes() == file_server.content


def test_a_disk_that_fills_up_is_told_and_the_download_resumes(
    file_server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(done: int, size: int | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"disk of .*\.part is full; free some space and run"):
        fetch(file_server.url, path, progress=full)
    fetch(file_server.url, path)
    assert path.read_bytes() == file_server.content


def test_a_folder_that_cannot_be_made_is_told(file_server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't make the folder"):
        fetch(file_server.url, tmp_path / "file" / "out" / "x.tgz")


def test_a_redirect_never_leaves_https() -> None:
    handler = _SafeRedirects()
    secure = urllib.request.Request("https://host/a")
    with pytest.raises(InputError, match="unprotected http://other/a"):
        handler.redirect_request(secure, io.BytesIO(), 302, "Found", HTTPMessage(), "http://other/a")
    followed = handler.redirect_request(secure, io.BytesIO(), 302, "Found", HTTPMessage(), "https://other/a")
    assert followed is not None
    assert followed.full_url == "https://other/a"
