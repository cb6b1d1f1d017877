"""The Indiana collection as Kaggle has it: two tables and a folder of PNG.

`indiana_reports.csv` and `indiana_projections.csv`. Studies get the collection's own ids again: `uid` 1900 is
CXR1900, and `1900_IM-0584-1001.dcm.png` is the image CXR1900_IM-0584-1001. So published splits fit.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import Damaged, Entries, Entry, LeftOut, paragraph, value_of
from cxrscribe_train.corpus.layouts.records import Record, plain_or_gzipped, read_csv
from cxrscribe_train.corpus.views import view_of

REPORTS_FILE: Final = "indiana_reports.csv"
PROJECTIONS_FILE: Final = "indiana_projections.csv"
IMAGE_FOLDERS: Final = ("images/images_normalized", "images_normalized")
_ENDING: Final = ".dcm.png"


def read_kaggle_iu(root: Path, left_out: LeftOut) -> Entries:
    """The images of the two tables in `root`. Raises InputError when one is absent or lacks a column."""
    reports, projections = (_file(root, name) for name in (REPORTS_FILE, PROJECTIONS_FILE))
    images: dict[str, list[Record]] = defaultdict(list)
    for record in read_csv(projections, ["uid", "filename", "projection"]):
        if isinstance(record, Damaged):
            yield record
        else:
            images[value_of(record["uid"])].append(record)
    for report in read_csv(reports, ["uid", "MeSH", "indication", "comparison", "findings", "impression"]):
        if isinstance(report, Damaged):
            yield report
            continue
        of_report: list[Record | None] = [*images.pop(value_of(report["uid"]), [])]
        for image in of_report or [None]:
            try:
                yield _entry(report, image)
            except InputError as error:
                yield Damaged((image or report).place, str(error))
    for orphans in images.values():
        for _ in orphans:
            left_out.count("images without a report")


def _entry(report: Record, image: Record | None) -> Entry:
    uid = value_of(report["uid"])
    if not uid:
        raise InputError("has no uid")
    file = value_of(image["filename"]) if image else ""
    if image and not file:
        raise InputError(f"study {uid!r} has an image without file name")
    findings, impression, indication, comparison = (
        paragraph(report[name]) for name in ("findings", "impression", "indication", "comparison")
    )
    return Entry(
        place=(image or report).place,
        study_id=f"CXR{uid}",
        image_id=f"CXR{file.removesuffix('.png').removesuffix('.dcm')}" if file else "",
        files=(file, file.replace(_ENDING, ".png"), f"CXR{file.replace(_ENDING, '.png')}") if file else (),
        findings=findings,
        impression=impression,
        indication=indication,
        comparison=comparison,
        mesh=tuple(filter(None, (heading.strip() for heading in value_of(report["mesh"]).split(";")))),
        view=view_of(value_of(image["projection"])) if image else "",
    )


def _file(root: Path, name: str) -> Path:
    path = plain_or_gzipped(root, name)
    if path is None:
        raise InputError(f"no {name} in {root}; give the folder that Kaggle's archive was unpacked in")
    return path
