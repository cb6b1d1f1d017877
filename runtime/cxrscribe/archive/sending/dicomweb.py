"""A PACS that speaks DICOMweb: documents by STOW-RS, asked for by QIDO-RS, compared by WADO-RS.

dicomweb-client makes the requests. What comes back is not believed: `GuardedSession` sees it first.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client.web import DICOMwebClient
from requests.adapters import HTTPAdapter

from cxrscribe.archive.sending.credentials import Credentials
from cxrscribe.archive.sending.destination import (
    Answers,
    DestinationError,
    Presence,
    Refused,
    TransientError,
    is_loopback,
    remark,
)
from cxrscribe.archive.sending.document import Document, is_same, requests_of
from cxrscribe.errors import InputError

MOST_AT_ONCE: Final = 100
MOST_BYTES: Final = 4 << 20
"""Of one request, unless a single document has more."""

_MOST_ANSWER: Final = 16 << 20
_PIECE: Final = 1 << 16
_JSON: Final = "application/dicom+json"
_SOME_REFUSED: Final = 202
"""Of STOW-RS; 200 is success, 409 that all were refused."""
_NOT_THERE: Final = 404
_NO_SERVICE: Final = frozenset({400, 405, 406, 415, 501})
"""Answers to a query or retrieval of a service that has none, or not such ones."""
_PASSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_WHO_ASKS: Final = frozenset({401, 403, 407})
_TAG_STORED, _TAG_FAILED = "00081199", "00081198"
_TAG_INSTANCE, _TAG_REASON = "00081155", "00081197"
_TAG_UID: Final = "00080018"
_NOBODYS: Final = "2.25.112233445566778899"
"""A UID that no study has."""
_OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
_CLASS_NOT_SUPPORTED: Final = 0x0122

Answer = TypeVar("Answer")


class StatusError(Exception):
    """An answer that is neither success nor a matter of waiting or of the whole service."""

    def __init__(self, status: int, body: bytes = b"") -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class DicomWeb:
    """A Destination."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        context: ssl.SSLContext,
        timeout: float,
        *,
        plain: bool = False,
    ) -> None:
        """`url`: of the DICOMweb service, to which `/studies` is added; `plain`: without TLS, wherever it is.

        Raises InputError when it is none.
        """
        self.name = checked_url(url, plain=plain)
        self._credentials = credentials
        self._context = context
        self._timeout = timeout

    def open(self) -> DicomWebLink:
        """Connect. Raises TransientError, DestinationError."""
        link = DicomWebLink(self.name, GuardedSession(self._credentials, self._context, self._timeout))
        try:
            link.check()
        except BaseException:
            link.close()
            raise
        return link


def checked_url(url: str, *, plain: bool = False) -> str:
    """`url` as it is remembered. Raises InputError, which shows no password."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InputError("--dicomweb is no URL; give https://HOST/PATH") from None
    if parts.username is not None or parts.password is not None:
        raise InputError("--dicomweb has a user or password in it; give them by the environment")
    if (
        parts.scheme not in ("http", "https")
        or not host
        or parts.query
        or parts.fragment
        or not url.isascii()
    ):
        raise InputError("--dicomweb is no URL of a DICOMweb service; give https://HOST/PATH")
    if parts.scheme == "http" and not plain and not is_loopback(host):
        raise InputError(
            f"http://{host} would get names of patients unencrypted; give https://, or --insecure-http where "
            "the network is trusted"
        )
    place = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{place}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


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
            headers["Accept"] = _JSON
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


class DicomWebLink:
    """A Link. One HTTP connection, kept open."""

    most_at_once = MOST_AT_ONCE

    def __init__(self, url: str, session: GuardedSession) -> None:
        self._session = session
        # Larger bodies would be sent in chunks, which not every service takes.
        # It logs each error that passes through it, and Python shows what nobody takes.
        logging.getLogger("retrying").addHandler(logging.NullHandler())
        self._client = DICOMwebClient(url, session=session, permissive_uid=True, chunk_size=1 << 40)
        self._client.set_http_retry_params(retry=False)
        self._can_query = True
        self._can_retrieve = True

    def check(self) -> None:
        """Find out whether the service is there and lets us in, before anything is sent."""
        with suppress(StatusError):  # of a service that can't be queried, which may store all the same
            self._ask(
                lambda: self._client.search_for_studies(
                    limit=1, search_filters={"StudyInstanceUID": _NOBODYS}
                )
            )

    def look_up(self, document: Document) -> Presence:
        there = self._lists(document, False)
        if not there:
            return Presence.UNKNOWN if there is None else Presence.ABSENT
        return self.compare(document)

    def compare(self, document: Document) -> Presence:
        if not self._can_retrieve:
            return Presence.UNREAD
        try:
            other = self._ask(
                lambda: self._client.retrieve_instance(document.study, document.series, document.instance)
            )
        except StatusError as error:
            self._can_retrieve = error.status not in _NO_SERVICE
            return Presence.UNREAD
        return Presence.SAME if is_same(document, other) else Presence.OTHER

    def shows(self, document: Document) -> bool | None:
        return self._lists(document, None)

    def listed(self, documents: Sequence[Document]) -> frozenset[str] | None:
        if not self._can_query:
            return None
        uids = ",".join(document.instance for document in documents)
        try:
            found = self._ask(
                lambda: self._client.search_for_instances(
                    limit=len(documents) + 1, search_filters={"SOPInstanceUID": uids}
                )
            )
        except StatusError:
            return None
        return frozenset(str(uid) for each in _items(found) for uid in _values(each, _TAG_UID))

    def _lists(self, document: Document, not_found: bool | None) -> bool | None:
        """`not_found`: what 404 means, which stands for nothing found, or for no such service."""
        if not self._can_query:
            return None
        try:
            found = self._ask(
                lambda: self._client.search_for_instances(
                    document.study, document.series, search_filters={"SOPInstanceUID": document.instance}
                )
            )
        except StatusError as error:
            if error.status == _NOT_THERE:
                return not_found
            self._can_query = error.status not in _NO_SERVICE
            if self._can_query:
                raise _unexpected(error.status) from None
            return None
        return any(document.instance in _values(each, _TAG_UID) for each in _items(found))

    def store(self, documents: Sequence[Document]) -> Answers:
        """Documents of a request that is refused as a whole are sent one by one."""
        taken: set[str] = set()
        refused: dict[str, Refused] = {}
        later: dict[str, str] = {}
        for some in requests_of(documents, MOST_AT_ONCE, MOST_BYTES):
            for each in self._posted(some):
                taken |= each.taken
                refused |= each.refused
                later |= each.later
        return Answers(frozenset(taken), refused, later)

    def _posted(self, documents: Sequence[Document]) -> list[Answers]:
        self._session.parts = len(documents)
        self._session.answered = b""
        datasets = [document.dataset() for document in documents]
        try:
            self._ask(lambda: self._client.store_instances(datasets))
        except StatusError as error:
            if error.status in (_NOT_THERE, 405, 501):
                raise DestinationError(
                    f"the PACS has no STOW-RS service there (HTTP {error.status}); check the path of "
                    "--dicomweb"
                ) from None
            answers = _answers(documents, error.body)
            if answers is not None:
                return [answers]
            if len(documents) > 1:
                return [each for document in documents for each in self._posted([document])]
            refused = Refused(str(error.status), "the PACS refused the request")
            return [Answers(frozenset(), {documents[0].instance: refused}, {})]
        answers = _answers(documents, self._session.answered)
        if answers is not None:
            return [answers]
        if self._session.answered_status != _SOME_REFUSED:
            return [Answers(frozenset(document.instance for document in documents), {}, {})]
        if len(documents) == 1:
            refused = Refused(str(_SOME_REFUSED), "the PACS refused the document")
            return [Answers(frozenset(), {documents[0].instance: refused}, {})]
        return []  # which of them it was, can be asked

    def _ask(self, ask: Callable[[], Answer]) -> Answer:
        """What dicomweb-client makes of an answer. What it can't make anything of is a TransientError."""
        try:
            return ask()
        except (TransientError, DestinationError, StatusError):
            raise
        except Exception as error:  # it parses what came over the network, and may fail by any of them
            raise TransientError(
                f"the PACS gave an answer that can't be understood ({type(error).__name__})"
            ) from None

    def reset(self) -> None:
        self._session.adapters["https://"].close()
        self._session.adapters["http://"].close()

    def close(self) -> None:
        self._session.close()


def _answers(documents: Sequence[Document], body: bytes) -> Answers | None:
    """What a STOW-RS answer says of documents; None where it says nothing of any of them."""
    try:
        (fields,) = _items(json.loads(body))
    except (ValueError, RecursionError):
        return None
    sent = {document.instance for document in documents}
    stored = {uid for item in _sequence(fields, _TAG_STORED) for uid in _values(item, _TAG_INSTANCE)} & sent
    refused = {}
    later = {}
    for item in _sequence(fields, _TAG_FAILED):
        reason = next((each for each in _values(item, _TAG_REASON) if isinstance(each, int)), 0)
        for uid in sent.intersection(map(str, _values(item, _TAG_INSTANCE))) - stored:
            if reason == _CLASS_NOT_SUPPORTED:
                raise DestinationError(
                    "the PACS takes no Basic Text SR (failure reason 0x0122); let it take SOP class "
                    "1.2.840.10008.5.1.4.1.1.88.11"
                )
            if reason in _OUT_OF_RESOURCES:
                later[uid] = f"0x{reason:04X}"
            else:
                refused[uid] = Refused(f"0x{reason & 0xFFFF:04X}", "the PACS refused the document")
    if not (stored or refused or later):
        return None
    return Answers(frozenset(stored), refused, later)


def _items(value: object) -> list[Mapping[str, object]]:
    """The objects of a JSON array, or the only one."""
    each = value if isinstance(value, list) else [value]
    return [item for item in each if isinstance(item, Mapping)]


def _values(item: Mapping[str, object], tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []


def _sequence(item: Mapping[str, object], tag: str) -> list[Mapping[str, object]]:
    return _items(_values(item, tag))


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


def _unexpected(status: int) -> TransientError:
    return TransientError(f"the PACS answered a query with HTTP {status}")
