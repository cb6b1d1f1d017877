"""Which documents a PACS has, asked for many at a time where it can be believed in that.

A list of UIDs is one of the standard's ways to ask (PS3.4, C.2.2.2.2), and not every PACS has it: some answer
with an error, with what the first UID finds, or with the first matches only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cxrscribe.archive.sending.destination import DestinationError, Link, TransientError
from cxrscribe.archive.sending.document import Document

MOST_IN_A_LIST: Final = 50
"""With two more, and UIDs of 64 characters, the URL of a query stays below 4 KB."""
_FAILURES: Final = 3


@dataclass
class Asking:
    """What queries with lists have told of one PACS, and whether they are to be believed.

    What such a query lists is there. What it doesn't list is absent only where the same answer lists two
    witnesses, which are known to be there and stand first and last in the list, and has fewer documents than
    an earlier one, so that it isn't cut off.
    """

    link: Link
    _is_on: bool = True
    _witnesses: tuple[Document, ...] = ()
    _most: int = 0
    """Documents that the PACS has listed in one answer."""
    _failures: int = 0
    """In a row."""
    _known: dict[str, bool] = field(default_factory=dict)

    def known(self, documents: Sequence[Document]) -> dict[str, bool]:
        """Whether the PACS lists each, by UID, of those that lists settle; the others are to be asked for
        alone. Raises TransientError.
        """
        self._known = {}
        for start in range(0, len(documents), MOST_IN_A_LIST):
            some = documents[start : start + MOST_IN_A_LIST]
            if self._is_on and len(some) > 1:
                self._ask(some)
        return self._known

    def _ask(self, documents: Sequence[Document]) -> None:
        first, last = self._witnesses[:1], self._witnesses[1:]
        asked = [*first, *documents, *last]
        listed = self._listed(asked)
        if listed is None or not listed <= {document.instance for document in asked}:
            self._is_on = False
            return
        there = [document for document in asked if document.instance in listed]
        self._known |= {document.instance: True for document in documents if document.instance in listed}
        is_whole = len(self._witnesses) == 2 and len(listed) < self._most
        if is_whole and all(each.instance in listed for each in self._witnesses):
            self._known |= {each.instance: False for each in documents if each.instance not in listed}
        if len(there) > 1:
            self._witnesses = (there[0], there[-1])
        else:
            self._witnesses = ()
        self._most = max(self._most, len(listed))

    def _listed(self, documents: Sequence[Document]) -> frozenset[str] | None:
        try:
            listed = self.link.listed(documents)
        except (TransientError, DestinationError) as error:
            self._failures += 1
            if isinstance(error, TransientError) and self._most and self._failures < _FAILURES:
                raise
            self.link.reset()
            return None  # and if it isn't the list that is wrong, the next question says so
        self._failures = 0
        return listed
