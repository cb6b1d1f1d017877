"""CheXpert Plus: one table, `df_chexpert_plus_240401.csv`, with a column for each section of the report.

P. Chambon et al., "CheXpert Plus: Augmenting a Large Chest X-ray Dataset with Text Radiology Reports, Patient
Demographics and Additional Image Formats", arXiv:2405.19538.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import Damaged, Entries, Entry, paragraph, split_of, value_of
from cxrscribe_train.corpus.layouts.records import Record, read_csv
from cxrscribe_train.corpus.split import HashSplit
from cxrscribe_train.corpus.views import view_of

TABLE_FILE: Final = "df_chexpert_plus_240401.csv"
IMAGE_FOLDERS: Final = ("PNG", "JPG", "DICOM")
_PATH = re.compile(r"(?:.*/)?(?P<patient>patient\d+)/(?P<study>study\d+)/(?P<film>[^/]+)\.\w+")
_REQUIRED: Final = (
    "path_to_image",
    "frontal_lateral",
    "ap_pa",
    "deid_patient_id",
    "section_clinical_history",
    "section_history",
    "section_comparison",
    "section_findings",
    "section_impression",
    "split",
)
# The collection has a split for training and one for validation, which is what models are compared on: here
# it tests, and a tenth of the training patients validates.
_OF_TRAINING: Final = HashSplit(train=1.0, validation=0.1)


def read_chexpert_plus(table: Path) -> Entries:
    """The rows of the table. Raises InputError when it can't be read or lacks a column."""
    for record in read_csv(table, _REQUIRED):
        if isinstance(record, Damaged):
            yield record
            continue
        try:
            yield _entry(record)
        except InputError as error:
            yield Damaged(record.place, str(error))


def _entry(record: Record) -> Entry:
    path = value_of(record["path_to_image"]).replace("\\", "/")
    parts = _PATH.fullmatch(path)
    if parts is None:
        raise InputError(f"path_to_image {path[:80]!r} must be .../patient1/study1/view1_frontal.jpg")
    patient = value_of(record["deid_patient_id"]) or parts["patient"]
    split = split_of(record["split"])
    bare, dicom = path.rpartition(".")[0], value_of(record["path_to_dcm"])
    frontal = view_of(value_of(record["frontal_lateral"]))
    return Entry(
        place=record.place,
        study_id=f"{parts['patient']}_{parts['study']}",
        image_id=f"{parts['patient']}_{parts['study']}_{parts['film']}",
        files=tuple(dict.fromkeys([path, f"{bare}.png", f"{bare}.jpg", *([dicom] if dicom else [])])),
        findings=paragraph(record["section_findings"]),
        impression=paragraph(record["section_impression"]),
        indication=paragraph(record["section_clinical_history"]) or paragraph(record["section_history"]),
        comparison=paragraph(record["section_comparison"]),
        patient_id=patient,
        view=(view_of(value_of(record["ap_pa"])) if frontal in ("", "frontal") else "") or frontal,
        split={"train": _OF_TRAINING(patient), "val": "test"}.get(split, split),
    )
