"""A report that is asked for: its films as they are read and encoded, and what becomes of its search."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from cxrscribe.errors import DecodingError, FilmError, Reason
from cxrscribe.films.levels import Picture
from cxrscribe.indications import Indication, Indications
from cxrscribe.report import LeftOut, Report
from cxrscribe.settings import BeamSettings
from cxrscribe.study import pooled


@dataclass(frozen=True)
class Wanted:
    """A report that is asked for, of a film or of a study."""

    name: str
    """What errors call the film or study."""
    settings: BeamSettings
    indication: Indication
    """What the call says of the patient."""


@dataclass
class Gathered:
    """What is there of the films of one wanted report, until all of them are."""

    rows: list[NDArray[np.float32]] = field(default_factory=list)
    """Features of those that could be read, each float32 [F]."""
    displays: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    text: Indication = None
    """What the first film says of the patient that says anything."""
    indication_from: str | None = None
    """Where what the search is told of the patient is from."""

    def add(self, picture: Picture | FilmError, features: Iterator[NDArray[np.float32]]) -> None:
        """Add the next film; one that could be read takes the next of `features`."""
        if isinstance(picture, FilmError):
            self.left_out.append(LeftOut(len(self.rows) + len(self.left_out), picture))
        else:
            self.rows.append(next(features))
            self.displays.append(picture.display)
            self.text = picture.text if self.text is None else self.text

    def error(self) -> FilmError | None:
        """Why there is nothing to make a report of; None where there is.

        What this machine was short of may be there at the next try: no film is left out for that.
        """
        errors = [film.error for film in self.left_out]
        films = len(self.rows) + len(errors)
        for error in errors:
            if error.reason == Reason.OUT_OF_RESOURCES and films > 1:
                return FilmError(f"study of {films} films: {error}", error.reason)
        if self.rows:
            return None
        if films == 1:
            return errors[0]
        reasons = {error.reason for error in errors}
        why = "; ".join(map(str, errors))
        reason = reasons.pop() if len(reasons) == 1 else Reason.UNREADABLE
        return FilmError(f"study of {films} films, none of which can be read: {why}", reason)

    def start(self, wanted: Wanted, indications: Indications) -> NDArray[np.float32]:
        """What the search starts from, float32 [F] or [F + P]. The films' features are let go."""
        patient, self.indication_from = indications.tell(wanted.indication, self.text)
        start = np.concatenate((pooled(self.rows), patient))
        self.rows.clear()
        return start

    def item(self, wanted: Wanted, outcome: Report | DecodingError | FilmError) -> Report | FilmError:
        """What is handed out, given what became of the search."""
        if isinstance(outcome, Report):
            return replace(
                outcome,
                display="; ".join(self.displays),
                indication_from=self.indication_from,
                left_out=tuple(self.left_out),
            )
        if isinstance(outcome, FilmError):
            return outcome
        error = FilmError(f"{wanted.name}: {outcome}", Reason.SEARCH_FAILED)
        error.__cause__ = outcome
        return error
