"""Small structured reports, drawn by pydicom alone, and runs that have them."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from cxrscribe.archive import Run, layout, sr_tar

BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"


def uid(kind: int, number: int) -> str:
    return f"2.25.7700{kind}{number:08}"


def small_report(number: int, text: str = "The heart is not enlarged.", patient: str = "Doe^Jane") -> bytes:
    """A Basic Text SR of a study of its own."""
    report = Dataset()
    report.SpecificCharacterSet = "ISO_IR 192"
    report.SOPClassUID = BASIC_TEXT_SR
    report.SOPInstanceUID = uid(3, number)
    report.StudyDate = report.ContentDate = "20260102"
    report.StudyTime = report.ContentTime = "030405"
    report.AccessionNumber = ""
    report.Modality = "SR"
    report.Manufacturer = "cxrscribe"
    report.ReferringPhysicianName = ""
    report.PatientName = patient
    report.PatientID = f"P{number}"
    report.PatientBirthDate = report.PatientSex = ""
    report.StudyInstanceUID = uid(1, number)
    report.SeriesInstanceUID = uid(2, number)
    report.StudyID = ""
    report.SeriesNumber = report.InstanceNumber = "1"
    report.ValueType = "CONTAINER"
    report.ConceptNameCodeSequence = [_code("18748-4", "LN", "Diagnostic Imaging Report")]
    report.ContinuityOfContent = "SEPARATE"
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [_code("121071", "DCM", "Finding")]
    item.TextValue = text
    report.ContentSequence = [item]
    report.file_meta = FileMetaDataset()
    report.file_meta.MediaStorageSOPClassUID = BASIC_TEXT_SR
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.ImplementationClassUID = "2.25.77009"
    file = BytesIO()
    report.save_as(file, enforce_file_format=True)
    return file.getvalue()


def pretend_scored(run: Run, reports: dict[int, bytes] | None = None) -> list[str]:
    """Give a run empty parts, and a report for each film; the UIDs of these. `reports`: others, by row."""
    generation = run.generation()
    uids = []
    for shard in generation.shards:
        members = [
            (film.row, (reports or {}).get(film.row) or small_report(film.row))
            for film in generation.films_of(shard)
        ]
        run.place.create(layout.sr_file(0, shard), sr_tar.pack(members))
        run.place.create(generation.part(shard), b"")
        uids += [uid(3, row) for row, _ in members]
    return uids


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
