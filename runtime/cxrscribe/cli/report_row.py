"""One film's outcome, as it is printed and written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cxrscribe.csv_cells import Cell
from cxrscribe.printable import printable
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.settings import BeamSettings

CSV_COLUMNS: Final = ("film", "error", "text", "log_prob", "score", "finished", "alternatives", "disclaimer")


@dataclass(frozen=True)
class ReportRow:
    """A film, and its report or why there is none."""

    film: str
    """The film's path, as it was given or found."""
    outcome: Report | Exception
    """Its report, or what went wrong with this film."""
    disclaimer: str
    """What the bundle says of all its reports."""
    indication: bool | None = None
    """Whether the model was told anything of the patient; None for one that sees the film alone."""
    settings: BeamSettings | None = None
    """How the report was drawn; None where it was searched for."""

    @property
    def error(self) -> str | None:
        """One line that says what went wrong; None for a report."""
        return None if isinstance(self.outcome, Report) else printable(str(self.outcome))

    def to_json(self) -> dict[str, object]:
        """Report's fields, all null where there is none, plus `film`, `error` and `disclaimer`.

        Of a model that reads indications, `indication` says whether one was given, never which. Of a report
        that was drawn, `settings` says how: it is one of many.
        """
        fields: dict[str, object]
        if isinstance(self.outcome, Report):
            fields = self.outcome.to_json()
        else:
            fields = dict.fromkeys(Report.__dataclass_fields__)
        told = {} if self.indication is None else {"indication": self.indication}
        drawn = {} if self.settings is None else {"settings": self.settings.to_json()}
        return {
            "film": self.film,
            "error": self.error,
            **fields,
            **told,
            **drawn,
            "disclaimer": self.disclaimer,
        }

    def to_json_line(self) -> str:
        """`to_json` on one line, pure ASCII, without the line's end."""
        return json.dumps(self.to_json(), allow_nan=False)

    def to_csv(self) -> list[Cell]:
        """The values of `CSV_COLUMNS`; `alternatives` is a list of texts. None is what is absent."""
        if not isinstance(self.outcome, Report):
            return [self.film, self.error, None, None, None, None, None, self.disclaimer]
        report = self.outcome
        return [
            self.film,
            None,
            report.text,
            report.log_prob,
            report.score,
            report.finished,
            [alternative.text for alternative in report.alternatives],
            self.disclaimer,
        ]

    def to_lines(self) -> list[str]:
        """A paragraph for people: film, text, alternatives if any, disclaimer, or the error; a blank line."""
        if not isinstance(self.outcome, Report):
            return [self.film, f"Error: {self.error}", ""]
        lines = [self.film, *_text_lines(self.outcome)]
        for place, alternative in enumerate(self.outcome.alternatives, start=2):
            lines += [f"[{place}]", *_text_lines(alternative)]
        return [*lines, self.disclaimer, ""]


def _text_lines(report: Report) -> list[str]:
    cut = "" if report.finished else ", cut at the greatest length"
    return [
        report.text or "(no words)",
        f"(score {report.score:.3f}, log-probability {report.log_prob:.3f}{cut})",
    ]
