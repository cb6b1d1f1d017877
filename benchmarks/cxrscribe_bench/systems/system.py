"""What every program that writes reports looks like to the benchmark: ours, and those it is held against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias

Words: TypeAlias = list[int]
"""Ids of the words of one report, without special tokens."""


class System(Protocol):
    """One program, opened on a Workload in a process of its own. Films and features are in its memory.

    `first` and `count` name films, or rows of features, by their places in the workload.
    """

    def details(self) -> Mapping[str, str]:
        """What a reader should know: versions, options that were tried and taken, where it runs."""
        ...

    def from_films(self, first: int, count: int) -> list[Words]:
        """The best report of each film: files decoded, preprocessed, encoded, searched for."""
        ...

    def from_features(self, first: int, count: int) -> list[Words]:
        """The best report of each row of features."""
        ...

    def encode(self, first: int, count: int) -> None:
        """Features of films that were decoded and preprocessed when the system was opened; no search."""
        ...
