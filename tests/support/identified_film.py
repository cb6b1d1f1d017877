"""DICOM films that say whose they are and of which study, as those of a hospital do."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from support.archive_films import small_film
from support.dicom_file import dicom, written

STUDY, SERIES, INSTANCE = "1.2.276.0.99.1", "1.2.276.0.99.1.2", "1.2.276.0.99.1.2.3"
IDENTIFIERS: dict[str, Any] = {
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": SERIES,
    "SOPInstanceUID": INSTANCE,
    "StudyDate": "19010203",
    "StudyTime": "101112.5",
    "AccessionNumber": "A-17",
    "ReferringPhysicianName": "Virchow^Rudolf",
    "PatientSex": "F",
    "StudyID": "S-1",
}


def identified(number: int = 0, **attributes: Any) -> Dataset:
    """A film that shows something else for each number; an attribute that is None is left out."""
    from io import BytesIO

    from PIL import Image

    pixels = np.asarray(Image.open(BytesIO(small_film(number))))
    dataset = dicom(pixels, **{**IDENTIFIERS, **attributes})
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
    return dataset


def identified_film(number: int = 0, **attributes: Any) -> bytes:
    """The bytes of its file."""
    return written(identified(number, **attributes))
