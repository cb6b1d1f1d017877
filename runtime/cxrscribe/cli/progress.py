"""The progress bar of all commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

import click

Item = TypeVar("Item")


def progress(iterable: Iterable[Item], length: int | None = None, label: str = "") -> Iterator[Item]:
    """Yield the items; a bar on stderr shows how far they are, if stderr is a terminal.

    `length` is the number of items where `iterable` doesn't know it; with None and no len() the bar only
    shows that something moves.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield from iterable
        return
    with click.progressbar(iterable, length=length, label=label, file=sys.stderr, show_pos=True) as bar:
        yield from bar
