"""Some documents and a PACS, until of each it is known what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from threading import Event
from typing import Final, TypeAlias

from cxrscribe.archive.sending.asking import Asking
from cxrscribe.archive.sending.destination import (
    ANOTHER_DOCUMENT,
    Link,
    Presence,
    Refused,
    TransientError,
)
from cxrscribe.archive.sending.document import Document
from cxrscribe.archive.sending.patience import Patience

_INTERNAL_ERROR: Final = 500


class Settled(Enum):
    """What became of a document that the PACS has."""

    SENT = auto()
    SENT_UNCONFIRMED = auto()
    FOUND = auto()
    FOUND_UNCOMPARED = auto()


Fate: TypeAlias = Settled | Refused
_PRESENT: Final = {Presence.SAME: Settled.FOUND, Presence.UNREAD: Settled.FOUND_UNCOMPARED}
_OTHER: Final = Refused(ANOTHER_DOCUMENT, "the PACS has another document with this UID, which was left alone")


class StoppedError(Exception):
    """The command ends: another thread, or whoever started it, says so."""


@dataclass
class Settling:
    """Documents on their way. Each is asked for before it is sent, so that what was sent by someone who was
    killed, or is unanswered, is not sent again.
    """

    link: Link
    asking: Asking
    """Of the same link."""
    patience: Patience
    stop: Event
    fates: dict[str, Fate] = field(default_factory=dict)
    """By instance UID."""
    _taken: set[str] = field(default_factory=set)
    """Of which the PACS has said so, and which it doesn't list yet."""

    def settle(self, documents: Sequence[Document]) -> None:
        """Raises TransientError when patience ends, DestinationError, StoppedError."""
        try:
            self._persist(lambda: self._pass(documents))
        except TransientError as error:
            if error.status != _INTERNAL_ERROR or len(documents) == 1:
                raise
            self._settle_apart(self._open(documents), error)

    def _settle_apart(self, documents: Sequence[Document], error: TransientError) -> None:
        """One document may be what the PACS fails at. Raises `error` where it has failed at all of them."""
        failed = []
        for document in documents:
            try:
                self._pass([document])
            except TransientError as each:
                if each.status != _INTERNAL_ERROR:
                    raise
                failed.append(document)
        if not any(isinstance(fate, Settled) for fate in self.fates.values()):
            raise error
        for document in failed:
            self.fates[document.instance] = Refused(str(_INTERNAL_ERROR), "the PACS fails at the document")

    def _persist(self, work: Callable[[], None]) -> None:
        tried = 0
        while True:
            if self.stop.is_set():
                raise StoppedError
            try:
                return work()
            except TransientError as error:
                tried += 1
                pause = self.patience.pause(tried, error.seconds)
                if pause is None:
                    raise
                self.link.reset()
                self.stop.wait(pause)

    def _open(self, documents: Sequence[Document]) -> list[Document]:
        return [document for document in documents if document.instance not in self.fates]

    def _pass(self, documents: Sequence[Document]) -> None:
        """Raises TransientError while there are documents of which it isn't known."""
        to_send = []
        untold = [each for each in self._open(documents) if each.instance not in self._taken]
        known = self.asking.known(untold)
        for document in untold:
            fate = _fate(self._look_up(document, known.get(document.instance)))
            if fate is None:
                to_send.append(document)
            else:
                self.fates[document.instance] = fate
        reason = self._send(to_send) if to_send else ""
        told = [each for each in self._open(documents) if each.instance in self._taken]
        known = self.asking.known(told)
        for document in told:
            shown = known.get(document.instance) or self.link.shows(document)
            if shown is None:
                self.fates[document.instance] = Settled.SENT_UNCONFIRMED
            elif shown:
                self.fates[document.instance] = Settled.SENT
            else:
                reason = reason or "the PACS has taken documents and doesn't list them"
        if self._open(documents):
            raise TransientError(reason or "the PACS said nothing of documents that it was sent")

    def _look_up(self, document: Document, there: bool | None) -> Presence:
        """`there`: whether the PACS lists the document, None where it is to be asked for alone."""
        if there is None:
            return self.link.look_up(document)
        return self.link.compare(document) if there else Presence.ABSENT

    def _send(self, documents: Sequence[Document]) -> str:
        """Send; why some of them have to be sent later, if so."""
        answers = self.link.store(documents)
        self._taken |= answers.taken
        for document in documents:
            refused = answers.refused.get(document.instance)
            if refused is not None:
                # It may have come by another sender meanwhile, which some refuse.
                self.fates[document.instance] = _fate(self.link.look_up(document)) or refused
        status = next(iter(answers.later.values()), None)
        return f"the PACS has no room for now ({status})" if status else ""


def _fate(presence: Presence) -> Fate | None:
    """Of a document that is asked for; None where it is to be sent."""
    return _OTHER if presence is Presence.OTHER else _PRESENT.get(presence)
