"""One film's or study's outcome, as it is printed and written."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from cxrscribe.csv_cells import Cell, csv_text
from cxrscribe.printable import printable
from cxrscribe.report import Report
from cxrscribe.report_json import report_json

if TYPE_CHECKING:
    from cxrscribe.settings import BeamSettings

_REPORT_COLUMNS: Final = ("error", "text", "log_prob", "score", "finished", "alternatives", "disclaimer")
CSV_COLUMNS: Final = ("film", *_REPORT_COLUMNS)
STUDY_CSV_COLUMNS: Final = ("study", "films", "left_out", *_REPORT_COLUMNS)


class Row(ABC):
    """A report, or why there is none, and what it is of."""

    what: ClassVar[str]
    """What rows of this kind are of: `film` or `study`."""
    columns: ClassVar[tuple[str, ...]]
    """Of a CSV file."""

    outcome: Report | Exception
    """The report, or what went wrong."""
    disclaimer: str
    """What the bundle says of all its reports."""
    reads_indications: bool
    """Whether the model takes what is known of the patient, and not the film alone."""
    indication_from: str | None
    """Where what it was told came from: `option`, `table` or `dicom:ATTRIBUTE`; None where it was nothing."""
    settings: BeamSettings | None
    """How the report was drawn; None where it was searched for."""

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is of, for people."""

    @abstractmethod
    def names(self) -> dict[str, object]:
        """The fields that say what it is of, as JSON values."""

    @abstractmethod
    def name_cells(self) -> list[Cell]:
        """The first cells in CSV, which say the same."""

    @classmethod
    @abstractmethod
    def name_in(cls, fields: Mapping[str, object]) -> str | None:
        """What names a row that `to_json` gave; None where nothing does."""

    @classmethod
    @abstractmethod
    def name_in_csv(cls, cells: Sequence[str]) -> str | None:
        """What names a row that `to_csv` gave."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """Of films that the report was made without, why, in one line."""
        return {}

    @property
    def error(self) -> str | None:
        """One line that says what went wrong; None for a report."""
        return None if isinstance(self.outcome, Report) else printable(str(self.outcome))

    def to_json(self) -> dict[str, object]:
        """`names()`, and the fields that `report_json` has of every report."""
        fields = report_json(
            self.outcome,
            self.disclaimer,
            reads_indications=self.reads_indications,
            indication_from=self.indication_from,
            drawn=self.settings,
        )
        return {**self.names(), **fields}

    def to_json_line(self) -> str:
        """`to_json` on one line, pure ASCII, without the line's end."""
        return json.dumps(self.to_json(), allow_nan=False)

    def to_csv(self) -> list[Cell]:
        """The values of `columns`; `alternatives` is a list of texts. None is what is absent."""
        if not isinstance(self.outcome, Report):
            return [*self.name_cells(), self.error, None, None, None, None, None, self.disclaimer]
        report = self.outcome
        return [
            *self.name_cells(),
            None,
            report.text,
            report.log_prob,
            report.score,
            report.finished,
            [alternative.text for alternative in report.alternatives],
            self.disclaimer,
        ]

    def to_lines(self) -> list[str]:
        """A paragraph for people: what it is of, text, alternatives if any, disclaimer, or the error."""
        if not isinstance(self.outcome, Report):
            return [self.title, f"Error: {self.error}", ""]
        lines = [self.title, *_text_lines(self.outcome)]
        for place, alternative in enumerate(self.outcome.alternatives, start=2):
            lines += [f"[{place}]", *_text_lines(alternative)]
        return [*lines, self.disclaimer, ""]


@dataclass(frozen=True)
class ReportRow(Row):
    """A film, and its report or why there is none."""

    what = "film"
    columns = CSV_COLUMNS

    film: str
    """The film's path, as it was given or found."""
    outcome: Report | Exception
    disclaimer: str
    reads_indications: bool = False
    indication_from: str | None = None
    settings: BeamSettings | None = None

    @property
    def title(self) -> str:
        """The film."""
        return self.film

    def names(self) -> dict[str, object]:
        """`film`."""
        return {"film": self.film}

    def name_cells(self) -> list[Cell]:
        """The film."""
        return [self.film]

    @classmethod
    def name_in(cls, fields: Mapping[str, object]) -> str | None:
        """The film."""
        film = fields.get("film")
        return film if isinstance(film, str) else None

    @classmethod
    def name_in_csv(cls, cells: Sequence[str]) -> str | None:
        """The film."""
        return csv_text(cells[0])


@dataclass(frozen=True)
class StudyRow(Row):
    """A study, and its report or why there is none."""

    what = "study"
    columns = STUDY_CSV_COLUMNS

    study: str | None
    """What names the study; None for a film whose study isn't known."""
    films: tuple[str, ...]
    """The paths of all its films, as they were given or found."""
    outcome: Report | Exception
    disclaimer: str
    reads_indications: bool = False
    indication_from: str | None = None
    settings: BeamSettings | None = None

    @property
    def title(self) -> str:
        """The study and how many films it has."""
        if self.study is None:
            return self.films[0]
        films = len(self.films)
        return f"{self.study} ({films} film{'s' if films > 1 else ''})"

    @property
    def left_out(self) -> Mapping[str, str]:
        """Films that can't be read, of a study of which others can."""
        if not isinstance(self.outcome, Report):
            return {}
        return {self.films[film.place]: printable(str(film.error)) for film in self.outcome.left_out}

    def names(self) -> dict[str, object]:
        """`study`, `films`, and `left_out`: an object with `film` and `error` for each of them."""
        left_out = [{"film": film, "error": error} for film, error in self.left_out.items()]
        return {"study": self.study, "films": list(self.films), "left_out": left_out}

    def name_cells(self) -> list[Cell]:
        """The study, its films, and those left out: the errors, each of which names its film."""
        return [self.study, list(self.films), list(self.left_out.values())]

    @classmethod
    def name_in(cls, fields: Mapping[str, object]) -> str | None:
        """The study, or the film without one."""
        study = fields.get("study")
        return study if isinstance(study, str) else _first(fields.get("films"))

    @classmethod
    def name_in_csv(cls, cells: Sequence[str]) -> str | None:
        """The study, or the film without one."""
        return csv_text(cells[0]) or _first(json.loads(cells[1]))


def _first(films: object) -> str | None:
    first = films[0] if isinstance(films, list) and films else None
    return first if isinstance(first, str) else None


def _text_lines(report: Report) -> list[str]:
    cut = "" if report.finished else ", cut at the greatest length"
    return [
        report.text or "(no words)",
        f"(score {report.score:.3f}, log-probability {report.log_prob:.3f}{cut})",
    ]
