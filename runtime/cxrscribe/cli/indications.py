"""What `cxrscribe report` is told of patients: one text for all films, a table of them, or what films say."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import InputError
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.archive.text_table import TextTable

FILM: Final = "film"
STUDY: Final = "study"
OPTION: Final = "option"
TABLE: Final = "table"


def table_name(name: str) -> str:
    """What a table and those who ask it call a film or study: one path has one name, and none has none."""
    return os.path.normpath(name) if name else name  # normpath would call no name the folder `.`


@dataclass(frozen=True)
class Told:
    """Gives the text of each film or study, where the command line does. No remark says what a text holds."""

    text: str | None = None
    """For all films; None where there is a table, or nothing."""
    table: TextTable | None = None
    """Of films by path, or of studies."""
    _asked: set[int] = field(default_factory=set)
    """Rows of the table."""

    def __bool__(self) -> bool:
        """Whether anything is told at all."""
        return self.text is not None or self.table is not None

    @property
    def column(self) -> str:
        """What the table's rows name: `film` or `study`."""
        return FILM if self.table is None else self.table.column

    def of(self, film: str) -> str | None:
        """The film's text; None where none is known, and for one that is blank. Raises InputError."""
        if self.table is None:
            return self.text if self.text and not self.text.isspace() else None
        name = table_name(film)
        row = int(self.table.places([name])[0])
        self._asked.add(row)
        return self.table.text(name, row)

    def of_study(self, study: str, films: Sequence[str]) -> str | None:
        """The text of a study, None where none is known. Raises InputError where its films have two."""
        if self.table is None or self.column == STUDY:
            return self.of(study)
        texts: dict[str, str] = {}
        for film in films:
            if (text := self.of(film)) is not None:
                texts.setdefault(text, film)
        if len(texts) > 1:
            one, other, *_ = texts.values()
            raise InputError(
                f"{self.table.source} has two indications for one study, whose films are {one} and {other}; "
                "keep one, or give a table with the columns study and indication"
            )
        return next(iter(texts), None)

    def source(self, text: str | None, outcome: Report | Exception) -> str | None:
        """What rows say of where a text is from: of `text`, which was given, or else of the films' own."""
        if text is not None:
            return OPTION if self.table is None else TABLE
        return outcome.indication_from if isinstance(outcome, Report) else None

    def unused(self) -> int:
        """Rows of the table whose film or study was never asked for."""
        return 0 if self.table is None else len(self.table) - len(self._asked - {-1})


NOTHING_TOLD: Final = Told()


def read_told(
    text: str | None, source: str | Path | None, attribute: str | None = None, *, by_study: bool = False
) -> Told:
    """What the options `--indication` and `--indications` say; `attribute`: that of the films, if any.

    `by_study`: the table's rows may name studies in the place of films. Raises InputError when a text for all
    films is given beside another source of texts, or the file is no such table; MissingExtraError.
    """
    for option, value in (("--indications", source), ("--indication-from-dicom", attribute)):
        if text is not None and value is not None:
            raise InputError(f"--indication and {option} contradict each other; give one")
    if source is None:
        return Told(text)
    from cxrscribe.archive.text_table import TextTable  # brings numpy, which the help doesn't need

    names = (FILM, STUDY) if by_study else (FILM,)
    return Told(table=TextTable(source, names, "indication", table_name))
