"""What the C library keeps of freed memory: said where it is glibc, and not where the user has."""

from __future__ import annotations

import ctypes

import pytest

from cxrscribe.freed_memory import return_freed_memory, share_freed_memory


class Library:
    """A C library that notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []

    def mallopt(self, *arguments: int) -> int:
        self.told.append(arguments)
        return 1


def test_threads_share_one_arena(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: library)
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    share_freed_memory()
    assert library.told == [(-8, 1)]  # M_ARENA_MAX of malloc.h
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    share_freed_memory()
    assert library.told == [(-8, 1)]


def test_other_libraries_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    share_freed_memory()
    return_freed_memory()
