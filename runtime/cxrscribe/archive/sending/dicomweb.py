"""A PACS that speaks DICOMweb: documents by STOW-RS, asked for by QIDO-RS, compared by WADO-RS.

dicomweb-client makes the requests. What comes back is not believed: `GuardedSession` sees it first.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import urlsplit

from dicomweb_client.web import DICOMwebClient

from cxrscribe.archive.sending.credentials import Credentials
from cxrscribe.archive.sending.destination import (
    Answers,
    DestinationError,
    Presence,
    Refused,
    TransientError,
)
from cxrscribe.archive.sending.document import Document, is_same, requests_of
from cxrscribe.archive.sending.guarded_session import GuardedSession, StatusError
from cxrscribe.archive.sending.stow_answer import items_of, read_answers, values_of
from cxrscribe.errors import InputError
from cxrscribe.loopback import is_loopback

_SOME_REFUSED: Final = 202
"""Of STOW-RS; 200 is success, 409 that all were refused."""
_NOT_THERE: Final = 404
_NO_SERVICE: Final = frozenset({400, 405, 406, 415, 501})
"""Answers to a query or retrieval of a service that has none, or not such ones."""
_TAG_UID: Final = "00080018"
_NOBODYS: Final = "2.25.112233445566778899"
"""A UID that no study has."""

Answer = TypeVar("Answer")


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


class DicomWebLink:
    """A Link. One HTTP connection, kept open."""

    def __init__(self, url: str, session: GuardedSession) -> None:
        self._session = session
        # Larger bodies would be sent in chunks, which not every service takes.
        # It logs each error that passes through it, and Python shows what nobody takes.
        logging.getLogger("retrying").addHandler(logging.NullHandler())
        self._client = DICOMwebClient(url, session=session, permissive_uid=True, chunk_size=1 << 40)
        self._client.set_http_retry_params(retry=False)
        self._can_query = True
        self._has_answered = False
        """Whether a query has ever found that there is a service."""
        self._can_retrieve = True

    def check(self) -> None:
        """Find out whether the service is there and lets us in, before anything is sent."""
        with suppress(StatusError):  # of a service that can't be queried, which may store all the same
            self._ask(
                lambda: self._client.search_for_studies(
                    limit=1, search_filters={"StudyInstanceUID": _NOBODYS}
                )
            )
            self._has_answered = True

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
        return self._lists(document, False if self._has_answered else None)

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
        return frozenset(str(uid) for each in items_of(found) for uid in values_of(each, _TAG_UID))

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
        self._has_answered = True
        return any(document.instance in values_of(each, _TAG_UID) for each in items_of(found))

    def store(self, documents: Sequence[Document]) -> Answers:
        """Documents of a request that is refused as a whole are sent one by one."""
        taken: set[str] = set()
        refused: dict[str, Refused] = {}
        later: dict[str, str] = {}
        for some in requests_of(documents):
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
            answers = read_answers(documents, error.body)
            if answers is not None:
                return [answers]
            if len(documents) > 1:
                return [each for document in documents for each in self._posted([document])]
            refused = Refused(str(error.status), "the PACS refused the request")
            return [Answers(frozenset(), {documents[0].instance: refused}, {})]
        answers = read_answers(documents, self._session.answered)
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


def _unexpected(status: int) -> TransientError:
    return TransientError(f"the PACS answered a query with HTTP {status}")
