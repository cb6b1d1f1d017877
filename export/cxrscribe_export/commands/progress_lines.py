"""How far an export is, said on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

import click

from cxrscribe.cli.terminal import note


class ProgressLines:
    """Says on stderr how far an export is. A context manager."""

    def __init__(self, films: int) -> None:
        self._films = films
        self._bar: Any = None

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()

    def say(self, stage: str) -> None:
        """Name what begins."""
        self._close_bar()
        note(f"{stage} ...")

    def count(self, label: str) -> Callable[[int], None]:
        """A bar over all films, which appears when the first one is done."""

        def advance(films: int) -> None:
            if self._bar is None:
                self._bar = click.progressbar(length=self._films, label=label, file=sys.stderr)
                self._bar.__enter__()
            self._bar.update(films)

        return advance

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None
