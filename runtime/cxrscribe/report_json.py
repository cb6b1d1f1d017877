"""A report as JSON, or why there is none: the same fields on the command line and over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrscribe.printable import printable
from cxrscribe.report import REPORT_FIELDS, Report

if TYPE_CHECKING:
    from cxrscribe.settings import BeamSettings


def report_json(
    outcome: Report | Exception,
    disclaimer: str,
    *,
    reads_indications: bool,
    indication_from: str | None,
    drawn: BeamSettings | None,
) -> dict[str, object]:
    """Report's fields, all null where there is none, plus `error` and `disclaimer`.

    Of a model that reads indications, `indication` says whether one was given, and `indication_from` where
    from; never which. Of a report that was drawn, by the settings `drawn`, `settings` says how: it is one of
    many.
    """
    report = outcome.to_json() if isinstance(outcome, Report) else {}
    fields = {name: report.get(name) for name in REPORT_FIELDS}
    more: dict[str, object] = {}
    if reads_indications:
        more = {"indication": indication_from is not None, "indication_from": indication_from}
    if drawn is not None:
        more["settings"] = drawn.to_json()
    error = None if isinstance(outcome, Report) else printable(str(outcome))
    return {"error": error, **fields, **more, "disclaimer": disclaimer}
