"""What was answered to each sample of a workload, and whether it was always what it had to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from cxrscribe import Report
from cxrscribe.errors import FilmError
from cxrscribe_bench.systems.system import Words

Answer: TypeAlias = Report | FilmError

_FIRST: Final = 5
"""Differences that are told."""


class Answers:
    """All answers, in the order in which they came.

    Only kept while anything is timed; compared afterwards.
    """

    def __init__(self) -> None:
        self._answers: list[tuple[int, Answer]] = []

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, index: int, answer: Answer) -> None:
        """Keep the answer to a sample. May be called from any thread."""
        self._answers.append((index, answer))

    def differences(self, expected: Sequence[Words] | None) -> Differences:
        """Those that aren't the words expected of each sample; None: those of the sample's first report.

        A FilmError always is one.
        """
        words = dict(enumerate(expected)) if expected is not None else {}
        found = Differences()
        for index, answer in self._answers:
            if isinstance(answer, FilmError):
                found.add(f"sample {index}: {answer}")
                continue
            given = list(answer.tokens)
            due = words.setdefault(index, given)
            if given != due:
                found.add(f"sample {index}: {_first_difference(due, given)}")
        return found


class Differences:
    """How many answers differ, and the first few of them in words."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, text: str) -> None:
        """Count one."""
        self.count += 1
        if len(self.first) < _FIRST:
            self.first.append(text)


def _first_difference(due: Words, given: Words) -> str:
    shorter = min(len(due), len(given))
    place = next((place for place in range(shorter) if due[place] != given[place]), shorter)
    return (
        f"word {place} is {_word(given, place)} where {_word(due, place)} is due "
        f"({len(given)} words, {len(due)} due)"
    )


def _word(words: Words, place: int) -> str:
    return f"id {words[place]}" if place < len(words) else "the end"
