"""PadChest: one table with reports in Spanish, stemmed by its authors, and PNG films of 16 bits.

A. Bustos et al., "PadChest: A large chest x-ray image dataset with multi-label annotated reports", Medical
Image Analysis 66 (2020).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.layouts.entry import Damaged, Entries, Entry, paragraph, value_of
from cxrscribe_train.corpus.layouts.records import Record, literal_list, read_csv
from cxrscribe_train.corpus.views import view_of

TABLE_FILE: Final = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
_REQUIRED: Final = ("ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report", "Labels")
_BY_A_PERSON: Final = "physician"


def read_padchest(table: Path) -> Entries:
    """The rows of the table. Raises InputError when it can't be read or lacks a column.

    The report is FINDINGS. Labels are kept as headings where a physician chose them; those that a network
    guessed are no headings.
    """
    for record in read_csv(table, _REQUIRED):
        if isinstance(record, Damaged):
            yield record
            continue
        try:
            yield _entry(record)
        except InputError as error:
            yield Damaged(record.place, str(error))


def _entry(record: Record) -> Entry:
    image, folder, labels = (value_of(record[name]) for name in ("imageid", "imagedir", "labels"))
    if not image:
        raise InputError("has no ImageID")
    headings = literal_list(labels) if labels else ()
    by_a_person = value_of(record["methodlabel"]).lower() == _BY_A_PERSON
    return Entry(
        place=record.place,
        study_id=value_of(record["studyid"]),
        image_id=image.rpartition(".")[0] or image,
        files=(image, f"{folder.removesuffix('.0')}/{image}"),
        findings=paragraph(record["report"]),
        mesh=tuple(label.replace(";", ",") for label in headings) if by_a_person else (),
        patient_id=value_of(record["patientid"]),
        view=view_of(value_of(record["projection"])),
    )
