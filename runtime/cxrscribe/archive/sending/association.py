"""A PACS that speaks DICOM: documents by C-STORE, asked for by C-FIND, compared by C-GET.

One association has them all, where the PACS offers them; pynetdicom speaks for us.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # it makes them when it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from cxrscribe.archive.sending.checkpoint import stand_still
from cxrscribe.archive.sending.destination import (
    Answers,
    DestinationError,
    Presence,
    Refused,
    TransientError,
    remark,
)
from cxrscribe.archive.sending.document import Document, is_same
from cxrscribe.errors import InputError

LEAST_PDU, MOST_PDU = 4096, 131_072
DEFAULT_PDU: Final = 16_382

_LONGEST_TITLE: Final = 16
_TITLE: Final = re.compile(r"[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*")
"""PS3.5, AE: no backslash, no controls, not spaces alone."""
_SUCCESS: Final = 0x0000
_WARNINGS: Final = frozenset({0xB000, 0xB006, 0xB007})
"""Stored, with elements that were changed or left out."""
_PENDING: Final = frozenset({0xFF00, 0xFF01})
_OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
_CLASS_NOT_SUPPORTED, _NOT_AUTHORIZED = 0x0122, 0x0124
_MOST_MATCHES: Final = 16
_MOST_ANSWER: Final = 16 << 20
_QUICK_ACKNOWLEDGEMENT: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)
_PERMANENT: Final = 1
"""Result of a rejected association (PS3.8, 9.3.4); 2 is transient."""
_REMEDIES: Final = {
    (1, 2): "it doesn't know the application context",
    (1, 3): "it doesn't know the calling AE title; give the one that it has been told with --calling",
    (1, 7): "it has another AE title; give that one with --called",
    (2, 2): "it speaks another version of the protocol",
}
"""By source and reason."""


@dataclass(frozen=True)
class Dicom:
    """A Destination."""

    host: str
    port: int
    calling: str
    called: str
    timeout: float
    max_pdu: int = DEFAULT_PDU
    context: ssl.SSLContext | None = None
    """Of TLS."""

    def __post_init__(self) -> None:
        for option, title in (("--calling", self.calling), ("--called", self.called)):
            if len(title) > _LONGEST_TITLE or not _TITLE.fullmatch(title):
                raise InputError(
                    f"{option} {title!r} is no AE title; give 1 to {_LONGEST_TITLE} characters of ASCII, "
                    "without backslash"
                )

    @property
    def name(self) -> str:
        """By which what it has acknowledged is remembered."""
        host = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return f"dicom://{self.called.strip()}@{host}:{self.port}"

    def open(self) -> AssociationLink:
        """Connect. Raises TransientError, DestinationError."""
        link = AssociationLink(self)
        link.associate()
        return link


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, or `[ADDRESS]:PORT`. Raises InputError."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if found is None or not 0 < int(found[3]) < 65_536:
        raise InputError(f"--dicom is {text!r}; give HOST:PORT: pacs.example:11112")
    return found[1] or found[2], int(found[3])


class AssociationLink:
    """A Link: one association, in which all is sent, made anew where it broke."""

    def __init__(self, destination: Dicom) -> None:
        # What is asked for and found has patients in it, and whoever switches logs on may not think of it.
        _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
        self._to = destination
        self._association: Association | None = None
        self._can_find = False
        self._has_found = False
        """Whether it has ever answered a C-FIND as it should."""
        self._can_get = False
        self._got: list[Dataset] = []
        self._number = 0
        self._received = 0
        """Bytes of the answer that is awaited."""

    def associate(self) -> Association:
        """The association, a new one where there is none. Raises TransientError, DestinationError."""
        known = self._association
        if known is not None and known.is_established:
            return known
        self.reset()
        to = self._to
        entity = AE(to.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = to.timeout
        entity.connection_timeout = to.timeout
        syntaxes = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
        for service in (
            BasicTextSRStorage,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelGet,
            Verification,
        ):
            entity.add_requested_context(service, syntaxes)
        tls = None if to.context is None else _Wrapping(to.context)
        made: Association | None = None
        for address in self._addresses():
            with suppress(OSError):  # of a kind of address that this machine doesn't have
                made = entity.associate(
                    address,
                    to.port,
                    ae_title=to.called,
                    max_pdu=to.max_pdu,
                    ext_neg=[build_role(BasicTextSRStorage, scu_role=True, scp_role=True)],
                    tls_args=None if tls is None else (cast(ssl.SSLContext, tls), to.host),
                    evt_handlers=[(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_C_STORE, self._take)],
                )
                if made.acceptor.primitive is not None:
                    break  # something has answered there
        if made is None:
            raise TransientError("there is no connection to the PACS")
        if not made.is_established:
            if tls is not None:
                tls.close()
            raise self._not_established(made)
        accepted = {str(each.abstract_syntax): each for each in made.accepted_contexts}
        storage = accepted.get(BasicTextSRStorage)
        self._association = made
        if storage is None or not storage.as_scu:
            self.close()
            raise DestinationError(
                f"the PACS takes no Basic Text SR; let it take SOP class {BasicTextSRStorage} from "
                f"{to.calling}"
            )
        self._can_find = StudyRootQueryRetrieveInformationModelFind in accepted
        self._can_get = StudyRootQueryRetrieveInformationModelGet in accepted and bool(storage.as_scp)
        return made

    def look_up(self, document: Document) -> Presence:
        there = self.shows(document)
        if not there:
            return Presence.UNKNOWN if there is None else Presence.ABSENT
        return self.compare(document)

    def compare(self, document: Document) -> Presence:
        other = self._retrieve(document)
        if other is None:
            return Presence.UNREAD
        return Presence.SAME if is_same(document, other) else Presence.OTHER

    def shows(self, document: Document) -> bool | None:
        found = self._find([document])
        if found is not None:
            self._has_found = True
            return document.instance in found
        if self._has_found:  # one that can be asked, else
            raise TransientError("the PACS fails at a C-FIND")
        self._can_find = False
        return None

    def listed(self, documents: Sequence[Document]) -> frozenset[str] | None:
        return self._find(documents)

    def _find(self, documents: Sequence[Document]) -> frozenset[str] | None:
        """The UIDs that a C-FIND finds; None where the PACS can't be asked."""
        association = self.associate()
        if not self._can_find:
            return None
        found = set()
        statuses = association.send_c_find(
            _identifier(documents), StudyRootQueryRetrieveInformationModelFind, msg_id=self._next()
        )
        for count, (status, identifier) in enumerate(statuses):
            code = _code(status)
            if code is None or count > len(documents) + _MOST_MATCHES:
                self.reset()
                raise TransientError("the PACS didn't end its answer to a C-FIND")
            if code in _PENDING:
                found.add(str(getattr(identifier, "SOPInstanceUID", "")))
            elif code in _OUT_OF_RESOURCES:
                raise TransientError(f"the PACS has no room for a C-FIND (0x{code:04X})")
            elif code != _SUCCESS:
                return None
        return frozenset(found)

    def _retrieve(self, document: Document) -> Dataset | None:
        """What the PACS has under the UID; None where it doesn't hand it out."""
        association = self.associate()
        if not self._can_get:
            return None
        self._got.clear()
        statuses = association.send_c_get(
            _identifier([document]), StudyRootQueryRetrieveInformationModelGet, msg_id=self._next()
        )
        for count, (status, _) in enumerate(statuses):
            code = _code(status)
            if code is None or count > _MOST_MATCHES:
                self.reset()
                raise TransientError("the PACS didn't end its answer to a C-GET")
            if code not in _PENDING and code != _SUCCESS:
                return None
        named = (each for each in self._got if str(each.get("SOPInstanceUID")) == document.instance)
        return next(named, None)

    def _take(self, event: Any) -> int:
        """Keep what the PACS sends for a C-GET."""
        with suppress(Exception):  # it came over the network, and may be anything
            self._got.append(event.dataset)
            del self._got[:-_MOST_MATCHES]
        return _SUCCESS

    def store(self, documents: Sequence[Document]) -> Answers:
        """Those sent before the association broke have their answers, the others none."""
        taken: set[str] = set()
        refused: dict[str, Refused] = {}
        later: dict[str, str] = {}
        for document in documents:
            association = self.associate()
            try:
                status = association.send_c_store(document.dataset(), msg_id=self._next())
            except (RuntimeError, ValueError):
                status = Dataset()  # it ended in between
            code = _code(status)
            if code is None:
                self.reset()
                if not taken and not refused and not later:
                    raise TransientError("the PACS didn't answer a C-STORE")
                break
            shown = f"0x{code:04X}"
            if code == _SUCCESS or code in _WARNINGS:
                taken.add(document.instance)
            elif code in _OUT_OF_RESOURCES:
                later[document.instance] = shown
                break  # the next ones would fare no better
            elif code in (_CLASS_NOT_SUPPORTED, _NOT_AUTHORIZED):
                raise DestinationError(
                    f"the PACS takes no Basic Text SR from {self._to.calling} (status {shown}); let it take "
                    f"SOP class {BasicTextSRStorage} from that AE title"
                )
            else:
                refused[document.instance] = Refused(shown, "the PACS refused the document")
        return Answers(frozenset(taken), refused, later)

    def reset(self) -> None:
        """End what is there of an association, so that the next request makes a new one."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.abort()

    def close(self) -> None:
        """Release the association."""
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def _opened(self, event: Any) -> None:
        """Let no packet of ours or theirs wait for the acknowledgement of the one before, 40 ms at times.

        dcmtk, and Orthanc with it, send the head of a PDU and its body by two writes, and so wait in each
        answer for us to acknowledge the head. pynetdicom reads the socket here alone.
        """
        self._received = 0
        opened = event.assoc.dul.socket
        if opened is not None and opened.socket is not None:
            opened.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            opened.recv = partial(self._read, opened, opened.recv)
        stand_still(event.assoc)

    def _read(self, opened: Any, read: Callable[[int], bytearray], size: int) -> bytearray:
        """What `read` gives, acknowledged now. Raises OSError, which ends the association, where an answer is
        too long: pynetdicom would gather it in memory.
        """
        self._received += size
        if self._received > _MOST_ANSWER:
            raise OSError(f"an answer of more than {_MOST_ANSWER:,} bytes")
        content = read(size)
        if _QUICK_ACKNOWLEDGEMENT is not None:  # which Linux forgets after a while
            with suppress(OSError, AttributeError):  # it may have ended meanwhile
                opened.socket.setsockopt(socket.IPPROTO_TCP, _QUICK_ACKNOWLEDGEMENT, 1)
        return content

    def _next(self) -> int:
        """The number of the message that is sent next: 1 to 65,535, over and over."""
        self._received = 0
        self._number = self._number % 65_535 + 1
        return self._number

    def _addresses(self) -> list[str]:
        """Of the host, which may listen at one of them only. Raises TransientError where none is known."""
        try:
            found = socket.getaddrinfo(self._to.host, self._to.port, type=socket.SOCK_STREAM)
        except OSError:
            raise TransientError(f"there is no address of {self._to.host}") from None
        return list(dict.fromkeys(str(each[4][0]) for each in found))

    def _not_established(self, made: Association) -> Exception:
        """Why there is no association."""
        primitive = made.acceptor.primitive
        result, source, reason = (
            int(getattr(primitive, name, None) or 0) for name in ("result", "result_source", "diagnostic")
        )
        if made.is_rejected and result == _PERMANENT:
            why = _REMEDIES.get((source, reason), f"source {source}, reason {reason}")
            return DestinationError(f"the PACS rejects the association: {why}")
        if made.is_rejected:
            return TransientError("the PACS rejects the association for now")
        if primitive is not None and getattr(primitive, "result", None) == 0:
            return DestinationError(
                f"the PACS takes no Basic Text SR; let it take SOP class {BasicTextSRStorage} from "
                f"{self._to.calling}"
            )
        return self._tls_problem() or TransientError("there is no connection to the PACS")

    def _tls_problem(self) -> DestinationError | None:
        """What is wrong with the certificates, if anything: pynetdicom says only that it failed."""
        if self._to.context is None:
            return None
        try:
            with (
                socket.create_connection((self._to.host, self._to.port), self._to.timeout) as opened,
                self._to.context.wrap_socket(opened, server_hostname=self._to.host) as wrapped,
            ):
                wrapped.settimeout(1)
                wrapped.recv(1)  # where a certificate of ours is refused, that is said after the handshake
        except ssl.SSLCertVerificationError as error:
            return DestinationError(
                f"the certificate of the PACS is not to be believed ({remark(error.verify_message)}); give "
                "certificates of its authority with --ca, and the name that stands in it"
            )
        except ssl.SSLError as error:
            return DestinationError(
                f"the PACS refuses the TLS connection ({remark(error.reason)}); it may speak none at this "
                "port, or want a --client-certificate"
            )
        except OSError:
            return None
        return None


class _Wrapping:
    """A context that knows its sockets: pynetdicom leaves open those whose handshake fails."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._made: list[ssl.SSLSocket] = []

    def wrap_socket(self, *args: Any, **named: Any) -> ssl.SSLSocket:
        self._made.append(self._context.wrap_socket(*args, **named))
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.close()


def _identifier(documents: Sequence[Document]) -> Dataset:
    """What asks for instances, and nothing of the patient."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "IMAGE"
    # Each once, and one of them as a single value.
    identifier.StudyInstanceUID = list(dict.fromkeys(each.study for each in documents))
    identifier.SeriesInstanceUID = list(dict.fromkeys(each.series for each in documents))
    identifier.SOPInstanceUID = list(dict.fromkeys(each.instance for each in documents))
    return identifier


def _code(status: Dataset) -> int | None:
    """None where no answer came, or none that can be understood."""
    value = status.get("Status")
    return value if isinstance(value, int) else None
