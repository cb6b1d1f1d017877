"""What `cxrscribe report` is told of patients: one text for all films, or a table of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxrscribe.cli.tables import read_table, table_key
from cxrscribe.errors import InputError

_FILM, _STUDY, _INDICATION = "film", "study", "indication"


@dataclass(frozen=True)
class Told:
    """Gives the text of each film or study. No error and no remark says what a text holds."""

    text: str | None = None
    """For all films; None where there is a table, or nothing."""
    table: Mapping[str, str] = field(default_factory=dict)
    """By what `column` says."""
    source: Path | None = None
    """Where the table is from."""
    column: str = _FILM
    """What the table's rows name: a film, or a study."""
    _asked: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether anything is told at all."""
        return self.text is not None or self.source is not None

    def of(self, film: str) -> str | None:
        """The film's text; None where none is known, and for one that is blank."""
        found = self.text if self.source is None else self.table.get(table_key(film))
        self._asked.add(table_key(film))
        return found if found and not found.isspace() else None

    def of_study(self, study: str, films: Sequence[str]) -> str | None:
        """The text of a study, None where none is known. Raises InputError where its films have two."""
        if self.column == _STUDY:
            return self.of(study)
        texts: dict[str, str] = {}
        for film in films:
            if (text := self.of(film)) is not None:
                texts.setdefault(text, film)
        if len(texts) > 1:
            one, other, *_ = texts.values()
            raise InputError(
                f"{self.source} has two indications for one study, whose films are {one} and {other}; keep "
                "one, or give a table with the columns study and indication"
            )
        return next(iter(texts), None)

    def unused(self) -> int:
        """Rows of the table whose film or study was never asked for."""
        return len(self.table.keys() - self._asked)


NOTHING_TOLD: Final = Told()


def read_told(text: str | None, path: Path | None, *, by_study: bool = False) -> Told:
    """What the options `--indication` and `--indications` say.

    `by_study`: the table's rows may name studies in the place of films. Raises InputError when both options
    are given, or the file is no such table.
    """
    if text is not None and path is not None:
        raise InputError("--indication and --indications contradict each other; give one")
    if path is None:
        return Told(text)
    table = read_table(path, (_FILM, _STUDY) if by_study else (_FILM,), _INDICATION)
    return Told(table=table.cells, source=path, column=table.column)
