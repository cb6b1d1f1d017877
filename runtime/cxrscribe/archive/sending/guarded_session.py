"""HTTP to a DICOMweb service that isn't believed: what comes back is limited, and its status is sorted."""

from __future__ import annotations

import re
import ssl
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from cxrscribe.archive.sending.credentials import Credentials
from cxrscribe.archive.sending.destination import DestinationError, TransientError, remark

JSON: Final = "application/dicom+json"
_MOST_ANSWER: Final = 16 << 20
_PIECE: Final = 1 << 16
_PASSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_WHO_ASKS: Final = frozenset({401, 403, 407})


class StatusError(Exception):
    """An answer that is neither success nor a matter of waiting or of the whole service."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class GuardedSession(requests.Session):
    """A session that follows no redirection, believes no certificate that it wasn't told to, and reads no
    answer that is too long, too slow or compressed. Nothing of the environment (proxies, .netrc) is used.
    """

    def __init__(self, credentials: Credentials, context: ssl.SSLContext, timeout: float) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.update({"Accept-Encoding": "identity", "User-Agent": "cxrscribe"})
        self.headers.update(credentials.headers)
        self.mount("https://", _TlsAdapter(context))
        self._timeout = timeout
        self.parts = 0
        """Documents in the request that is made next."""
        self.answered_status = 0
        self.answered = b""
        """The body of the last answer to a POST, which dicomweb-client doesn't see."""

    def request(self, method: Any, url: Any, *_: Any, **named: Any) -> requests.Response:
        """As requests has it. Raises TransientError, DestinationError, StatusError."""
        headers = {name: value for name, value in named.get("headers", {}).items() if name != "Host"}
        is_post = method == "POST"
        if is_post:
            headers["Accept"] = JSON
            _check_parts(named["data"], headers["Content-Type"], self.parts)
        until = monotonic() + 2 * self._timeout
        try:
            response = super().request(
                method,
                url,
                params=named.get("params"),
                data=named.get("data"),
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            )
            try:
                body = _read(response, until)
            finally:
                response.close()
        except requests.RequestException as error:
            raise _fault(error) from None
        _check_status(response, body)
        if is_post:
            self.answered_status, self.answered, body = response.status_code, body, b""
        response._content = body  # what `content` gives, once all is read
        if response.headers.get("Content-Type", "").startswith("application/dicom;") or (
            response.headers.get("Content-Type") == "application/dicom"
        ):
            response.headers["Content-Type"] = "multipart/related"  # of one part, which is the whole
        return response


class _TlsAdapter(HTTPAdapter):
    """Lets connections have our context alone, whatever requests would add."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **named: Any) -> None:
        """Of pools that use the context."""
        super().init_poolmanager(*args, **named, ssl_context=self._context)

    def build_connection_pool_key_attributes(self, *args: Any, **named: Any) -> Any:
        """Without certificates that requests brings."""
        host, pool = super().build_connection_pool_key_attributes(*args, **named)
        return host, {"ssl_context": self._context} if pool else pool

    def cert_verify(self, *_: Any) -> None:
        """The context does."""


def _check_parts(body: bytes, content_type: str, parts: int) -> None:
    """Raise StatusError where a document has in it what separates documents in a request."""
    boundary = re.search('boundary="([^"]+)"', content_type)
    if boundary is not None and body.count(b"--" + boundary[1].encode("ascii")) != parts + 1:
        raise StatusError(400)


def _read(response: requests.Response, until: float) -> bytes:
    """The body. Raises TransientError, DestinationError."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise TransientError("the PACS gave a compressed answer, which it wasn't asked for")
    pieces = []
    size = 0
    for piece in response.iter_content(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_ANSWER:
            raise TransientError(f"the PACS gave an answer of more than {_MOST_ANSWER:,} bytes")
        if monotonic() > until:
            raise TransientError("the PACS didn't end its answer in time")
    return b"".join(pieces)


def _check_status(response: requests.Response, body: bytes) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise DestinationError(
            f"the PACS sends to {_elsewhere(response)} (HTTP {status}), which is not followed: credentials "
            "would go there; give the URL that is meant"
        )
    if status in _WHO_ASKS:
        raise DestinationError(
            f"the PACS doesn't let this sender in (HTTP {status}); give it a token, headers or a client "
            "certificate that may store, and check that they are valid"
        )
    if status in _PASSES:
        raise TransientError(f"the PACS answered HTTP {status}", seconds=_asked(response), status=status)
    if status < 400 or status > 599:
        raise TransientError("the PACS gave an answer that isn't HTTP")
    raise StatusError(status, body)


def _elsewhere(response: requests.Response) -> str:
    try:
        parts = urlsplit(response.headers.get("Location", ""))
        return remark(f"{parts.scheme}://{parts.hostname}") if parts.hostname else "another place"
    except ValueError:
        return "another place"


def _asked(response: requests.Response) -> float | None:
    """Seconds of Retry-After, which may be a date."""
    given = response.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return float(given[:9])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    return None


def _fault(error: requests.RequestException) -> Exception:
    """What requests raised, without the URL, which names studies."""
    causes: list[BaseException] = []
    cause: object = error
    while isinstance(cause, BaseException) and len(causes) < 8:
        causes.append(cause)
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__ or _first(cause)
    for each in causes:
        if isinstance(each, ssl.SSLCertVerificationError):
            return DestinationError(
                f"the certificate of the PACS is not to be believed ({remark(each.verify_message)}); give "
                "the certificates of its authority with --ca, and the name that stands in it"
            )
        if isinstance(each, ssl.SSLError) and "ALERT" in str(each.reason or ""):
            return DestinationError(
                f"the PACS refuses the TLS connection ({remark(each.reason)}); it may want a "
                "--client-certificate"
            )
    if isinstance(error, requests.Timeout):
        return TransientError("the PACS didn't answer in time")
    if isinstance(error, requests.exceptions.SSLError):
        return TransientError("the TLS connection to the PACS failed")
    return TransientError("the connection to the PACS failed")


def _first(error: BaseException) -> object:
    return next((each for each in error.args if isinstance(each, BaseException)), None)
