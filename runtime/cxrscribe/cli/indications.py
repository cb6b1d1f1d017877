"""What `cxrscribe report` is told of patients: one text for all films, a table of them, or what films say."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import InputError

if TYPE_CHECKING:
    from cxrscribe.archive.indication_table import IndicationTable

OPTION: Final = "option"
TABLE: Final = "table"


@dataclass(frozen=True)
class Told:
    """Gives the text of each film, where the command line does. No remark says what a text holds."""

    text: str | None = None
    """For all films; None where there is a table, or nothing."""
    table: IndicationTable | None = None
    """Of films by path."""
    _asked: set[int] = field(default_factory=set)
    """Rows of the table."""

    def __bool__(self) -> bool:
        """Whether anything is told at all."""
        return self.text is not None or self.table is not None

    @property
    def source(self) -> str:
        """Where texts are from: what rows say of them."""
        return OPTION if self.table is None else TABLE

    def of(self, film: str) -> str | None:
        """The film's text; None where none is known, and for one that is blank. Raises InputError."""
        if self.table is None:
            return self.text if self.text and not self.text.isspace() else None
        name = _name(film)
        row = int(self.table.places([name])[0])
        self._asked.add(row)
        return self.table.text(name, row)

    def unused(self) -> int:
        """Rows of the table whose film was never asked for."""
        return 0 if self.table is None else len(self.table) - len(self._asked - {-1})


NOTHING_TOLD: Final = Told()


def read_told(text: str | None, source: str | Path | None, attribute: str | None = None) -> Told:
    """What the options `--indication` and `--indications` say; `attribute`: that of the films, if any.

    Raises InputError when a text for all films is given beside another source of texts, or the file is no
    table of films and indications; MissingExtraError.
    """
    for option, value in (("--indications", source), ("--indication-from-dicom", attribute)):
        if text is not None and value is not None:
            raise InputError(f"--indication and {option} contradict each other; give one")
    if source is None:
        return Told(text)
    from cxrscribe.archive.indication_table import (
        IndicationTable,
    )  # brings numpy, which the help doesn't need

    return Told(table=IndicationTable(source, _name))


def _name(film: str) -> str:
    """What names one film, however its path is written."""
    return os.path.normpath(film)
