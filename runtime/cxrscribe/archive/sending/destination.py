"""What a PACS is to the sender: something that is asked for a document, is given documents, and answers.

`dicomweb` speaks to one by STOW-RS, QIDO-RS and WADO-RS, `association` by C-STORE, C-FIND and C-GET.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from cxrscribe.archive.sending.document import Document
from cxrscribe.errors import InputError
from cxrscribe.printable import printable

ANOTHER_DOCUMENT: Final = "another_document"
"""The status of a document whose UID another one has."""
_LONGEST_REMARK: Final = 100


class DestinationError(InputError):
    """The PACS, or what it was asked with, has to be changed first: nothing more is sent."""


class TransientError(Exception):
    """Something that may pass: no connection, no answer, no room. It names no patient."""

    def __init__(self, message: str, *, seconds: float | None = None, status: int | None = None) -> None:
        """`seconds`: how long the PACS asks to wait. `status`: HTTP's, of an answer to a whole request."""
        super().__init__(message)
        self.seconds = seconds
        self.status = status


class Presence(Enum):
    """What a PACS has under a document's UID."""

    ABSENT = auto()
    SAME = auto()
    """This document."""
    OTHER = auto()
    """Another document."""
    UNREAD = auto()
    """A document, which it doesn't hand out to be compared."""
    UNKNOWN = auto()
    """It can't be asked."""


@dataclass(frozen=True)
class Refused:
    """The answer to a document that was not taken."""

    status: str
    """As the PACS gave it: `0xC000`, `409`; or ANOTHER_DOCUMENT."""
    message: str


@dataclass(frozen=True)
class Answers:
    """What a PACS said to documents, under their instance UIDs. Those that are nowhere it passed over."""

    taken: frozenset[str]
    refused: Mapping[str, Refused]
    later: Mapping[str, str]
    """Those that it has no room for now, each with its status."""


class Link(Protocol):
    """A way to a PACS, for one thread. Methods raise TransientError and DestinationError."""

    def look_up(self, document: Document) -> Presence:
        """What the PACS has under the document's UID."""

    def compare(self, document: Document) -> Presence:
        """What the PACS has under the UID of a document that it lists."""

    def shows(self, document: Document) -> bool | None:
        """Whether the PACS lists the document; None where it can't be asked."""

    def listed(self, documents: Sequence[Document]) -> frozenset[str] | None:
        """The UIDs that the PACS lists when it is asked for all of these in one query, just as it says; None
        where it can't be asked so.
        """

    def store(self, documents: Sequence[Document]) -> Answers:
        """Send documents."""

    def reset(self) -> None:
        """Begin anew after a TransientError."""

    def close(self) -> None:
        """End the connection."""


class Destination(Protocol):
    """A PACS, as a user names it."""

    @property
    def name(self) -> str:
        """By which what it has acknowledged is remembered; no secret is in it."""

    def open(self) -> Link:
        """Connect. Raises TransientError, DestinationError."""


def remark(text: object) -> str:
    """What a PACS says of itself, as one short and harmless line."""
    return printable(" ".join(str(text)[: 4 * _LONGEST_REMARK].split()))[:_LONGEST_REMARK]
