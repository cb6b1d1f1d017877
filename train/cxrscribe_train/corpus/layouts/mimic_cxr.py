"""MIMIC-CXR: a table of images with the split, one text file a study, JPEG or DICOM films.

    mimic-cxr-2.0.0-split.csv[.gz]       dicom_id, study_id, subject_id, split
    mimic-cxr-2.0.0-metadata.csv[.gz]    dicom_id, ViewPosition; optional
    files/pNN/pSUBJECT/sSTUDY.txt        the report, with headings in capitals
    files/pNN/pSUBJECT/sSTUDY/DICOM.jpg  or .dcm

A. Johnson et al., "MIMIC-CXR, a de-identified publicly available database of chest radiographs with free-text
reports", Scientific Data 6 (2019).
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import (
    Damaged,
    Entries,
    Entry,
    LeftOut,
    paragraph,
    split_of,
    value_of,
)
from cxrscribe_train.corpus.layouts.records import Record, plain_or_gzipped, read_csv
from cxrscribe_train.corpus.sections import sections
from cxrscribe_train.corpus.views import view_of

SPLIT_FILE: Final = "mimic-cxr-2.0.0-split.csv"
METADATA_FILE: Final = "mimic-cxr-2.0.0-metadata.csv"
_LARGEST_REPORT: Final = 128 * 1024
_WITHOUT_FILE: Final = "images whose report file is missing"


def read_mimic_cxr(root: Path, reports: Path, left_out: LeftOut) -> Entries:
    """The images that the split table in `root` lists, with the texts below `reports`.

    An image whose report file is missing is left out and counted. Raises InputError when there is no split
    table.
    """
    table = plain_or_gzipped(root, SPLIT_FILE)
    if table is None:
        raise InputError(f"no {SPLIT_FILE} in {root}; give the folder of MIMIC-CXR-JPG, which has it")
    views = yield from _views(plain_or_gzipped(root, METADATA_FILE))
    texts: dict[str, dict[str, str] | None] = {}
    for record in read_csv(table, ["dicom_id", "study_id", "subject_id", "split"]):
        if isinstance(record, Damaged):
            yield record
            continue
        try:
            folder, study = _place(record)
            if study not in texts:
                # Images of a study stand together: one text at a time is enough.
                texts = {study: _read_report(reports / f"{folder}.txt")}
            of_study = texts[study]
            if of_study is None:
                left_out.count(_WITHOUT_FILE)
            else:
                yield _entry(record, folder, of_study, views)
        except InputError as error:
            yield Damaged(record.place, str(error))


def _entry(record: Record, folder: str, text: dict[str, str], views: dict[str, str]) -> Entry:
    image = value_of(record["dicom_id"])
    if not image:
        raise InputError("has no dicom_id")
    return Entry(
        place=record.place,
        study_id=f"s{value_of(record['study_id'])}",
        image_id=image,
        files=tuple(f"{folder}/{image}{ending}" for ending in (".jpg", ".dcm", ".png")),
        findings=text.get("findings", ""),
        impression=text.get("impression", ""),
        indication=text.get("indication", ""),
        comparison=text.get("comparison", ""),
        patient_id=f"p{value_of(record['subject_id'])}",
        view=views.get(image, ""),
        split=split_of(record["split"]),
        of_one_report=True,
    )


def _place(record: Record) -> tuple[str, str]:
    """`files/p10/p10000032/s50414267` and the study. Raises InputError where an id is no number."""
    subject, study = value_of(record["subject_id"]), value_of(record["study_id"])
    if not (subject.isdecimal() and study.isdecimal()):
        raise InputError(f"subject_id {subject!r} and study_id {study!r} must be numbers")
    return f"files/p{subject[:2]}/p{subject}/s{study}", study


def _read_report(path: Path) -> dict[str, str] | None:
    """The sections of a report file as paragraphs; None where it is missing."""
    try:
        if path.stat().st_size > _LARGEST_REPORT:
            raise InputError(f"{path.name} has {path.stat().st_size:,} bytes, too many for one report")
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path.name} can't be read ({error.strerror})") from None
    return {name: paragraph(content) for name, content in sections(text).items()}


def _views(metadata: Path | None) -> Generator[Damaged, None, dict[str, str]]:
    """The view of each image, where the table of metadata is there; yields its damaged rows."""
    views: dict[str, str] = {}
    if metadata is not None:
        for record in read_csv(metadata, ["dicom_id", "ViewPosition"]):
            if isinstance(record, Damaged):
                yield record
            else:
                views[value_of(record["dicom_id"])] = view_of(value_of(record["viewposition"]))
    return views
