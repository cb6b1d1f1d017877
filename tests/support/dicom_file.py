"""DICOM files for tests, small and odd."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian

from cxrscribe.films.dicom import read_dicom
from cxrscribe.films.rules import FilmRules

NAME, NUMBER = "Roentgen^Anna Bertha", "PAT-1895-1108"


def dicom(
    pixels: np.ndarray, bits: int = 8, syntax: str = ExplicitVRLittleEndian, **attributes: Any
) -> Dataset:
    """A radiograph of one frame with stored values `pixels`."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, NUMBER, "18950101"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def written(dataset: Dataset) -> bytes:
    """The bytes of the file."""
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


def encapsulated(frame: bytes, pixels: np.ndarray, syntax: str, **attributes: Any) -> bytes:
    """The bytes of a file whose one frame is compressed already."""
    dataset = dicom(pixels, syntax=syntax, **attributes)
    dataset.PixelData = encapsulate([frame])
    return written(dataset)


def shown_dicom(content: bytes, rules: FilmRules | None = None) -> np.ndarray:
    """The grey pixels of a film."""
    return read_dicom(content, rules=rules).pixels


def lut(values: list[int], first: int, bits: int, kind: str = "US") -> Dataset:
    """An item of a LUT sequence."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(values), first, bits])
    item.add_new("LUTData", kind, values if kind == "US" else np.array(values, dtype="<u2").tobytes())
    return item


def without(dataset: Dataset, *names: str) -> Dataset:
    """The dataset, less these attributes."""
    for name in names:
        delattr(dataset, name)
    return dataset


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
RAMP_12 = np.linspace(0, 4095, 32 * 32).round().astype(np.uint16).reshape(32, 32)
