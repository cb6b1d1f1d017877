"""Options that the corpus commands share: which studies train, which validate, which test."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe_train.corpus.split import Split

Command: TypeAlias = Callable[..., Any]


@dataclass(frozen=True)
class SplitChoice:
    """The split given on the command line; None leaves the default of `HashSplit`."""

    file: Path | None = None
    train: float | None = None
    validation: float | None = None

    def split(self, seed: int | None = None, study_of: Callable[[str], str] | None = None) -> Split:
        """The split of the file, or one by a hash of ids and `seed`.

        `study_of` says which study an id of the file is of; by default an id counts up to its first `_`.

        Raises InputError when the file is no split, a share is out of range, or a file stands beside a seed
        or a share.
        """
        from cxrscribe_train.corpus.split import HashSplit, read_split

        hashed = {"seed": seed, "train": self.train, "validation": self.validation}
        given: dict[str, Any] = {name: value for name, value in hashed.items() if value is not None}
        if self.file is None:
            return HashSplit(**given)
        if given:
            options = ", ".join(f"--{name}" for name in given)
            raise InputError(f"--split-file decides the split alone; leave out {options}")
        return read_split(self.file) if study_of is None else read_split(self.file, study_of)


def split_options(command: Command) -> Command:
    """Add `--split-file --train --validation`; the command gets `split: SplitChoice`."""

    @functools.wraps(command)
    def packed(
        *, split_file: Path | None, train: float | None, validation: float | None, **others: Any
    ) -> Any:
        return command(split=SplitChoice(split_file, train, validation), **others)

    for option in (
        click.option(
            "--validation", type=float, metavar="SHARE", help="Share of these that validate. [default: 0.1]"
        ),
        click.option(
            "--train",
            type=float,
            metavar="SHARE",
            help="Share of studies that are not for testing. [default: 0.8]",
        ),
        click.option(
            "--split-file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="JSON with lists of study ids under train, val and test; other studies stay unused.",
        ),
    ):
        packed = option(packed)
    return packed
