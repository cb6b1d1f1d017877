"""One file over HTTP into a `.part` file that a later call, or a later day, goes on with."""

from __future__ import annotations

import errno
import http.client
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

from cxrscribe.errors import InputError
from cxrscribe_train.atomic import write_atomically

CHUNK_BYTES: Final = 256 * 1024
TIMEOUT_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 60.0
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are on disk and the whole size, None while it is unknown."""


@dataclass(frozen=True)
class Retries:
    """`limit` tries in a row may bring nothing.

    The pause in seconds doubles after each, up to a minute.
    """

    limit: int = 5
    pause: float = 1.0

    def wait(self, failures: int) -> None:
        """Pause before the next try."""
        time.sleep(min(self.pause * 2 ** (failures - 1), LONGEST_PAUSE_SECONDS))


@dataclass(frozen=True)
class _Origin:
    """What a `.part` file was cut from: the address, the server's mark of that version, and its size."""

    url: str
    validator: str
    size: int | None


class _StalePartError(Exception):
    """What lies in the `.part` file can't be gone on with; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class _BrokenTransferError(Exception):
    """The transfer stopped early, and another try may help."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to http: the first download's checksum is trusted later."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The next request, or an error where the connection would lose its protection."""
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise InputError(
                f"{req.full_url} redirects to the unprotected {newurl}; give a safe address with --url"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def transfer(
    url: str, part: Path, retries: Retries, progress: Progress, note: Callable[[str], None]
) -> int | None:
    """Complete `part` from `url`; returns the size that the server gave, None where it gave none.

    Goes on where an earlier call stopped, unless the server ignores ranges or has another version of
    the file by now; then it starts again and says so through `note`. Raises InputError when the
    address is wrong, the server refuses, the disk is full, or `retries.limit` tries in a row bring nothing.
    """
    _check_address(url)
    failures = 0
    while True:
        before = _size(part)
        try:
            return _continue(url, part, progress, note)
        except _StalePartError as restart:
            note(f"{restart.reason}; starting {part.stem} again")
            part.unlink(missing_ok=True)
            failures += 1
            reason: Exception = restart
        except _BrokenTransferError as interruption:
            failures = 1 if _size(part) > before else failures + 1
            note(f"{interruption} after {_size(part):,} bytes of {part.stem}")
            reason = interruption
        if failures > retries.limit:
            raise InputError(
                f"{url}: {reason}; gave up after {failures} tries. Run the command again to go on from {part}"
            )
        retries.wait(failures)


def _check_address(url: str) -> None:
    """Raise InputError unless `url` is a whole http or https address in ASCII, as requests have to be."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InputError(f"{url!r} is no address ({error}); give one such as https://host/file.tgz") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(
            f"{url!r} is no http or https address; give a whole one, such as https://host/file.tgz"
        )
    if not url.isascii():
        raise InputError(
            f"{url!r} holds letters outside ASCII; write them percent-encoded, in the host's name as xn--..."
        )


def _continue(url: str, part: Path, progress: Progress, note: Callable[[str], None]) -> int | None:
    """One request. Returns the size once `part` is whole."""
    origin = _read_origin(part)
    offset = _size(part)
    if offset and (origin is None or origin.url != url):
        raise _StalePartError("what is there comes from another address")
    if origin and offset and offset == origin.size:
        progress(offset, origin.size)
        return origin.size
    headers = {"Accept-Encoding": "identity", "User-Agent": "cxrscribe"}
    if offset and origin:
        headers["Range"] = f"bytes={offset}-"
        if origin.validator:
            headers["If-Range"] = origin.validator
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            asked, (size, offset) = offset, _agree(response, offset, origin)
            if offset < asked:
                note(f"the server sends {part.stem} from its start: it can't resume, or the file has changed")
            if not offset:
                # Before the new origin is noted: old bytes must never stand under a new version's mark.
                part.unlink(missing_ok=True)
            _write_origin(part, _Origin(url, _validator(response), size))
            _check_space(part, size, offset)
            _append(response, part, offset, size, progress)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                raise _StalePartError("the server has no bytes after those that are there") from None
            if error.code in _WORTH_ANOTHER_TRY:
                raise _BrokenTransferError(f"the server answered {error.code} {error.reason}") from None
            raise InputError(
                f"{url}: the server answered {error.code} {error.reason}; check the address"
            ) from None
    except urllib.error.URLError as error:
        raise _BrokenTransferError(f"no connection ({error.reason})") from None
    except (http.client.InvalidURL, UnicodeError) as error:  # UnicodeError: part of the host is too long
        raise InputError(f"{url!r} is no address ({error})") from None
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _BrokenTransferError(f"the connection broke ({type(error).__name__})") from None
    if size is not None and _size(part) != size:
        raise _BrokenTransferError(f"the server stopped early, at {_size(part):,} of {size:,} bytes")
    return size


def _agree(response: http.client.HTTPResponse, offset: int, origin: _Origin | None) -> tuple[int | None, int]:
    """The whole size, and the byte that the answer starts at: 0 where the server sends everything again."""
    if response.status != 206:
        length = response.headers.get("Content-Length", "")
        return (int(length) if length.isdecimal() else None), 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", "").strip())
    if not match or int(match[1]) != offset:
        raise _StalePartError("the server sent other bytes than those asked for")
    if origin and origin.size not in (None, int(match[2])):
        raise _StalePartError(
            f"the file has changed on the server ({match[2]} bytes instead of {origin.size})"
        )
    return int(match[2]), offset


def _append(
    response: http.client.HTTPResponse, part: Path, offset: int, size: int | None, progress: Progress
) -> None:
    try:
        with part.open("r+b" if part.exists() else "wb") as file:
            file.truncate(offset)
            file.seek(offset)
            while chunk := _read(response):
                file.write(chunk)
                offset += len(chunk)
                progress(offset, size)
    except OSError as error:
        raise _disk_error(part, error) from error


def _read(response: http.client.HTTPResponse) -> bytes:
    """The next bytes, with network trouble told apart from the disk's: both are OSError."""
    try:
        return response.read(CHUNK_BYTES)
    except (http.client.HTTPException, OSError) as error:
        raise _BrokenTransferError(f"the connection broke ({type(error).__name__})") from None


def _check_space(part: Path, size: int | None, offset: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if size is not None and size - offset > free:
        raise InputError(
            f"{part.parent} has {free:,} bytes free, and {size - offset:,} more are needed; "
            "free some space or choose another --out"
        )


def _disk_error(part: Path, error: OSError) -> InputError:
    if error.errno == errno.ENOSPC:
        return InputError(f"the disk of {part} is full; free some space and run the command again to go on")
    return InputError(f"can't write {part} ({error.strerror or error}); choose another --out")


def _validator(response: http.client.HTTPResponse) -> str:
    """What If-Range may hold: a strong ETag, else the date of the last change (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return etag
    return str(response.headers.get("Last-Modified", ""))


def origin_file(part: Path) -> Path:
    """Where the origin of a `.part` file is noted."""
    return part.with_name(part.name + ".json")


def _read_origin(part: Path) -> _Origin | None:
    try:
        content = json.loads(origin_file(part).read_text(encoding="utf-8"))
        size = content["size"]
        return _Origin(str(content["url"]), str(content["validator"]), None if size is None else int(size))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_origin(part: Path, origin: _Origin) -> None:
    write_atomically(origin_file(part), json.dumps(asdict(origin)).encode("utf-8"))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
