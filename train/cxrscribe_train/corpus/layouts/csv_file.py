"""A table of one's own: CSV, or JSON with an object a line, one row an image.

Columns: `study_id` and `findings` (or `report`, one text with headings); and where they are known
`image_path`, `image_id`, `patient_id`, `impression`, `indication`, `comparison`, `view`, `split`, `mesh`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import (
    Damaged,
    Entries,
    Entry,
    identifier_of,
    image_id_of,
    paragraph,
    report_text_of,
    split_of,
    value_of,
)
from cxrscribe_train.corpus.layouts.records import Record, column_name, holds_json, read_csv, read_json_lines
from cxrscribe_train.corpus.sections import sections
from cxrscribe_train.corpus.views import view_of

COLUMNS: Final = (
    "study_id",
    "image_path",
    "image_id",
    "patient_id",
    "findings",
    "impression",
    "indication",
    "comparison",
    "view",
    "split",
    "mesh",
    "report",
)
_TEXTS: Final = ("findings", "impression", "indication", "comparison")


def read_table(path: Path, headers: Mapping[str, str] | None = None, encoding: str = "utf-8") -> Entries:
    """The rows of a table.

    `headers` says what columns are called in the file, where they have another name: column to header. Where
    the column `report` is given, the sections that have no column of their own come from its headings; a
    report without any heading is FINDINGS where no column holds them.

    A file called `.json`, `.jsonl` or `.ndjson`, gzipped or not, is JSON with an object a line.

    Raises InputError when the file can't be read or lacks `study_id`, or `findings` and `report`.
    """
    headers = {name: column_name((headers or {}).get(name, name)) for name in COLUMNS}
    if holds_json(path):
        records = read_json_lines(path, encoding)
    else:
        records = read_csv(path, [headers["study_id"]], encoding)
    checked = False
    for record in records:
        if isinstance(record, Damaged):
            yield record
            continue
        if not checked and not {headers["findings"], headers["report"]} & record.values.keys():
            raise InputError(
                f"{path} has neither a column {headers['findings']} nor {headers['report']}; say with "
                "--column findings=NAME which one holds the text"
            )
        checked = True
        try:
            yield _entry(record, headers)
        except InputError as error:
            yield Damaged(record.place, str(error))


def _entry(record: Record, headers: Mapping[str, str]) -> Entry:
    study_id, patient_id = (identifier_of(record[headers[name]]) for name in ("study_id", "patient_id"))
    image_path, image_id = (value_of(record[headers[name]]) for name in ("image_path", "image_id"))
    report, findings = (report_text_of(record[headers[name]]) for name in ("report", "findings"))
    of_report = sections(report)
    if report and not of_report and not findings:
        of_report = {"findings": report}
    given = {name: value_of(record[headers[name]]) for name in _TEXTS} | {"findings": findings}
    texts = {name: paragraph(given[name] or of_report.get(name, "")) for name in _TEXTS}
    return Entry(
        place=record.place,
        study_id=study_id,
        image_id=image_id or (image_id_of(study_id, image_path) if image_path else ""),
        files=(image_path,) if image_path else (),
        findings=texts["findings"],
        impression=texts["impression"],
        indication=texts["indication"],
        comparison=texts["comparison"],
        mesh=tuple(filter(None, (part.strip() for part in value_of(record[headers["mesh"]]).split(";")))),
        patient_id=patient_id,
        view=view_of(value_of(record[headers["view"]])),
        split=split_of(record[headers["split"]]),
        of_one_report=bool(report) and not findings,
    )
