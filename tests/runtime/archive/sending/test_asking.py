"""Queries with lists, at PACS that understand them, half understand them, or cut answers off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.archive.sending.asking import MOST_IN_A_LIST, Asking
from cxrscribe.archive.sending.destination import Answers, DestinationError, Presence, TransientError
from cxrscribe.archive.sending.document import Document


def document(number: int) -> Document:
    return Document((number,), b"", f"1.{number}", f"2.{number}", f"3.{number}")


@dataclass
class Lists:
    """A Link that can be asked for lists, and for nothing else."""

    there: set[str] = field(default_factory=set)
    kind: str = "whole"
    most: int = 1000
    """Matches that it gives."""
    queries: int = 0

    def listed(self, documents: Sequence[Document]) -> frozenset[str] | None:
        self.queries += 1
        uids = [each.instance for each in documents]
        if self.kind == "first":
            uids = uids[:1]
        elif self.kind == "last":
            uids = uids[-1:]
        elif self.kind == "everything":
            uids = sorted(self.there)
        elif self.kind == "none":
            return None
        elif self.kind == "fails":
            raise TransientError("it fails")
        elif self.kind == "forbids":
            raise DestinationError("it isn't allowed")
        return frozenset([uid for uid in uids if uid in self.there][: self.most])

    def look_up(self, document: Document) -> Presence:
        raise NotImplementedError

    def compare(self, document: Document) -> Presence:
        raise NotImplementedError

    def shows(self, document: Document) -> bool | None:
        raise NotImplementedError

    def store(self, documents: Sequence[Document]) -> Answers:
        raise NotImplementedError

    def reset(self) -> None:
        pass

    def close(self) -> None:
        raise NotImplementedError


KINDS = ("whole", "first", "last", "everything", "none", "fails", "forbids")


@given(
    kind=st.sampled_from(KINDS),
    most=st.integers(1, 60),
    rounds=st.lists(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60), max_size=6),
)
def test_what_is_known_is_true(kind: str, most: int, rounds: list[list[tuple[int, bool]]]) -> None:
    """Whatever the PACS makes of lists, and what it has of them."""
    link = Lists(kind=kind, most=most)
    asking = Asking(link)
    for each in rounds:
        states = dict(each)
        documents = [document(number) for number in states]
        for number, is_there in states.items():
            (link.there.add if is_there else link.there.discard)(f"3.{number}")
        known = asking.known(documents)
        assert set(known) <= {each.instance for each in documents}
        for uid, is_there in known.items():
            assert is_there is (uid in link.there)


def test_absence_is_known_once_the_pacs_has_shown_that_it_can_tell() -> None:
    link = Lists()
    asking = Asking(link)
    first = [document(number) for number in range(5)]
    then = [document(number) for number in range(5, 9)]
    assert asking.known(first) == {}
    link.there = {each.instance for each in first}
    assert asking.known(first) == dict.fromkeys(link.there, True)
    assert asking.known(then) == {each.instance: False for each in then}
    link.there.add("3.6")
    assert asking.known(then) == {"3.5": False, "3.6": True, "3.7": False, "3.8": False}


def test_long_lists_are_cut() -> None:
    link = Lists()
    documents = [document(number) for number in range(2 * MOST_IN_A_LIST + 2)]
    link.there = {each.instance for each in documents}
    assert Asking(link).known(documents) == dict.fromkeys(link.there, True)
    assert link.queries == 3


@pytest.mark.parametrize("kind", ["none", "fails", "forbids", "everything"])
def test_pacs_without_lists_is_asked_once(kind: str) -> None:
    link = Lists({"3.1000"}, kind)
    asking = Asking(link)
    for _ in range(3):
        assert asking.known([document(0), document(1)]) == {}
    assert link.queries == 1


def test_lists_that_have_been_answered_may_fail_for_a_while() -> None:
    link = Lists({"3.0", "3.1"})
    asking = Asking(link)
    documents = [document(0), document(1)]
    assert len(asking.known(documents)) == 2
    link.kind = "fails"
    for _ in range(2):
        with pytest.raises(TransientError):
            asking.known(documents)
    assert asking.known(documents) == {}
    assert asking.known(documents) == {}
    assert link.queries == 4
