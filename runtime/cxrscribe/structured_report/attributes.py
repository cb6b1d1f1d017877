"""What a structured report takes over from its film: patient and study, each value valid or left out.

A value of the standard's type 2 may be empty, and is left so where the film's isn't valid: a report with
another name than the film's would be worse than one with none. Without the UIDs of type 1 there is nothing
that a report could stand beside, and so none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final
from unicodedata import category

from cxrscribe.films import identifiers
from cxrscribe.films.identifiers import MOST_VALUE_BYTES, Identifiers
from cxrscribe.structured_report.character_sets import decoded

# PS3.5, 9.1; of the three roots there are, 0 is nobody's who names DICOM objects, and many a placeholder's.
_UID: Final = re.compile(r"[12](\.(0|[1-9][0-9]*))+")
_LONGEST_UID: Final = 64
_DATE: Final = re.compile(r"[0-9]{8}")
_TIME: Final = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9]([0-5][0-9](\.[0-9]{1,6})?|60)?)?")
_SEXES: Final = ("M", "F", "O")
_NAME_GROUPS: Final = 3
_NAME_COMPONENTS: Final = 5
_PADDING: Final = "\0 "


class NotPossible(StrEnum):
    """Why a report has no structured report."""

    NOT_DICOM = "not_dicom"
    """Its film isn't a DICOM file, and so of no study."""
    UNREADABLE = "unreadable_header"
    """Its film's header can't be read, though its pixels could."""
    NO_STUDY = "no_study_instance_uid"
    NO_SERIES = "no_series_instance_uid"
    NO_INSTANCE = "no_sop_instance_uid"
    NO_CLASS = "no_sop_class_uid"
    SEVERAL_STUDIES = "several_studies"
    """Its films are of several studies, by their StudyInstanceUID."""
    SEVERAL_PATIENTS = "several_patients"
    """Its films are of several patients, by their PatientID."""


REASONS: Final = {
    NotPossible.NOT_DICOM: "is no DICOM file, so that no study has it; give the DICOM file",
    NotPossible.UNREADABLE: "has a DICOM header that can't be read; fetch it again",
    NotPossible.NO_STUDY: "has no valid StudyInstanceUID; fetch it from the PACS",
    NotPossible.NO_SERIES: "has no valid SeriesInstanceUID; fetch it from the PACS",
    NotPossible.NO_INSTANCE: "has no valid SOPInstanceUID; fetch it from the PACS",
    NotPossible.NO_CLASS: "has no valid SOPClassUID; fetch it from the PACS",
    NotPossible.SEVERAL_STUDIES: "is of another study (StudyInstanceUID) than the first; report it alone",
    NotPossible.SEVERAL_PATIENTS: "is of another patient (PatientID) than the first; report it alone",
}
"""In words, for an error that names the film."""


class NotPossibleError(Exception):
    """There can be no structured report. It names no film and no value."""

    def __init__(self, reason: NotPossible, place: int = 0) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason
        self.place = place
        """Which of the films it is about, from 0."""


@dataclass(frozen=True)
class FilmAttributes:
    """What a report says of its film, and repeats of its patient and study."""

    sop_class: str
    sop_instance: str
    series: str
    study: str
    values: dict[int, str]
    """By tag, those of type 2; empty where the film has none that is valid."""
    left_out: tuple[str, ...]
    """Keywords of those that the film has, but not validly."""


def film_attributes(found: Identifiers) -> FilmAttributes:
    """The attributes of a film whose header was read.

    Raises NotPossibleError where one of type 1 isn't valid.
    """
    values, left_out = _type_2(found)
    return FilmAttributes(
        study=_uid(found, identifiers.STUDY_INSTANCE_UID, NotPossible.NO_STUDY),
        series=_uid(found, identifiers.SERIES_INSTANCE_UID, NotPossible.NO_SERIES),
        sop_instance=_uid(found, identifiers.SOP_INSTANCE_UID, NotPossible.NO_INSTANCE),
        sop_class=_uid(found, identifiers.SOP_CLASS_UID, NotPossible.NO_CLASS),
        values=values,
        left_out=left_out,
    )


def _uid(found: Identifiers, tag: int, missing: NotPossible) -> str:
    value = found.get(tag, b"").rstrip(b"\0 ").decode("latin-1")
    if len(value) > _LONGEST_UID or not _UID.fullmatch(value):
        raise NotPossibleError(missing)
    return value


def _type_2(found: Identifiers) -> tuple[dict[int, str], tuple[str, ...]]:
    """The values that may be empty, and the keywords of those that the film has, but not validly."""
    terms = _character_sets(found.get(identifiers.SPECIFIC_CHARACTER_SET, b""))
    values: dict[int, str] = {}
    left_out = []
    for tag, (keyword, is_valid, is_text) in _TYPE_2.items():
        raw = found.get(tag, b"")
        text = None
        if len(raw) <= MOST_VALUE_BYTES:
            text = decoded(raw, terms if is_text else ())
        if text is not None:
            text = text.rstrip(_PADDING) if is_text else text.strip(_PADDING)
        if not is_valid(text) if text else raw.strip(b"\0 "):  # escapes alone are no value either
            text = None
        values[tag] = text or ""
        if text is None:
            left_out.append(keyword)
    return values, tuple(left_out)


def _character_sets(value: bytes) -> tuple[str, ...]:
    """The values of SpecificCharacterSet."""
    terms = [term.strip(_PADDING) for term in value.decode("latin-1").split("\\")]
    return () if terms == [""] else tuple(terms)


def _is_text(most: int) -> Callable[[str], bool]:
    """Whether one value of so many characters, without controls, is all there is (PS3.5, 6.2)."""
    return lambda text: len(text) <= most and "\\" not in text and not any(map(_is_control, text))


def _is_control(character: str) -> bool:
    return category(character) == "Cc"


_is_long_text: Final = _is_text(64)


def _is_name(text: str) -> bool:
    groups = text.split("=")
    return len(groups) <= _NAME_GROUPS and all(
        _is_long_text(group) and group.count("^") < _NAME_COMPONENTS for group in groups
    )


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date(int(text[:4]), int(text[4:6]), int(text[6:])))
    except ValueError:
        return False


_TYPE_2: Final[dict[int, tuple[str, Callable[[str], bool], bool]]] = {
    identifiers.STUDY_DATE: ("StudyDate", _is_date, False),
    identifiers.STUDY_TIME: ("StudyTime", lambda text: bool(_TIME.fullmatch(text)), False),
    identifiers.ACCESSION_NUMBER: ("AccessionNumber", _is_text(16), True),
    identifiers.REFERRING_PHYSICIAN_NAME: ("ReferringPhysicianName", _is_name, True),
    identifiers.PATIENT_NAME: ("PatientName", _is_name, True),
    identifiers.PATIENT_ID: ("PatientID", _is_long_text, True),
    identifiers.PATIENT_BIRTH_DATE: ("PatientBirthDate", _is_date, False),
    identifiers.PATIENT_SEX: ("PatientSex", _SEXES.__contains__, False),
    identifiers.STUDY_ID: ("StudyID", _is_text(16), True),
}
"""By tag, the keyword, what a valid value is, and whether it is written in the film's character set."""
