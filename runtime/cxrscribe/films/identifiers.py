"""What a DICOM film says of its patient, its study and itself: the values, raw, read from the header alone.

They are identifiers. They are looked at only where somebody asks for structured reports, and no error repeats
them. What they mean, and whether they are valid, is for `structured_report` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from cxrscribe.errors import FilmError, MissingExtraError, Reason
from cxrscribe.films.dicom import header_start, is_dicom, silence_pydicom
from cxrscribe.films.isolation import Isolation, identifiers_isolated
from cxrscribe.films.quiet import quiet_libraries

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

Identifiers: TypeAlias = Mapping[int, bytes]
"""Values as they stand in the file, padding included, by tag, 0xGGGGEEEE; those that it has."""

SPECIFIC_CHARACTER_SET: Final = 0x0008_0005
SOP_CLASS_UID: Final = 0x0008_0016
SOP_INSTANCE_UID: Final = 0x0008_0018
STUDY_DATE: Final = 0x0008_0020
STUDY_TIME: Final = 0x0008_0030
ACCESSION_NUMBER: Final = 0x0008_0050
REFERRING_PHYSICIAN_NAME: Final = 0x0008_0090
PATIENT_NAME: Final = 0x0010_0010
PATIENT_ID: Final = 0x0010_0020
PATIENT_BIRTH_DATE: Final = 0x0010_0030
PATIENT_SEX: Final = 0x0010_0040
STUDY_INSTANCE_UID: Final = 0x0020_000D
SERIES_INSTANCE_UID: Final = 0x0020_000E
STUDY_ID: Final = 0x0020_0010
TAGS: Final = (
    SPECIFIC_CHARACTER_SET,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_DATE,
    STUDY_TIME,
    ACCESSION_NUMBER,
    REFERRING_PHYSICIAN_NAME,
    PATIENT_NAME,
    PATIENT_ID,
    PATIENT_BIRTH_DATE,
    PATIENT_SEX,
    STUDY_INSTANCE_UID,
    SERIES_INSTANCE_UID,
    STUDY_ID,
)
MOST_VALUE_BYTES: Final = 4096
"""Of a value, more than any of these may have; of longer ones one byte more is kept, to tell."""
_HEADER_BYTES: Final = 1 << 20  # of a file: they stand near the beginning


def read_identifiers(content: bytes, isolation: Isolation | None = None) -> Identifiers:
    """The identifiers of a film, of its file's content.

    Films that `isolation` names have their headers read in a process of their own, as their pixels are.
    Raises FilmError, which doesn't name the film, when it is no DICOM file or is damaged.
    """
    limits = isolation if isolation is not None else Isolation()
    start = content[:_HEADER_BYTES]
    if not is_dicom(start):
        raise FilmError("is no DICOM file; give one", Reason.UNSUPPORTED)
    return identifiers_isolated(start, limits) if limits.concerns(start) else identifiers_of(start)


def identifiers_of(start: bytes) -> Identifiers:
    """As `read_identifiers`, in this process, of how a file begins.

    Raises MissingExtraError without the extra `dicom`.
    """
    try:
        from pydicom.dataelem import RawDataElement
        from pydicom.filereader import read_partial
    except ModuleNotFoundError:
        raise MissingExtraError("reading DICOM", "dicom") from None
    silence_pydicom()
    with quiet_libraries():
        try:
            dataset = read_partial(header_start(start, _HEADER_BYTES), _is_past, specific_tags=list(TAGS))
            found = {}
            for tag in TAGS:
                raw = dataset.get_item(tag) if tag in dataset else None
                value = None if raw is None else raw.value
                if isinstance(raw, RawDataElement) and isinstance(value, bytes) and len(value) < raw.length:
                    raise FilmError(
                        "is a DICOM file whose header is cut off, or too long; fetch it again",
                        Reason.TRUNCATED,
                    )
                if tag == SPECIFIC_CHARACTER_SET and value is not None:  # pydicom has to understand this one
                    value = (value if isinstance(value, str) else "\\".join(value)).encode("utf-8")
                if isinstance(value, bytes):
                    found[tag] = value[: MOST_VALUE_BYTES + 1]
        except (FilmError, MemoryError):
            raise
        except Exception as error:
            raise FilmError(f"is a damaged DICOM file ({type(error).__name__}); fetch it again") from None
    return found


def _is_past(tag: BaseTag, vr: str | None, length: int) -> bool:
    """Whether what is looked for can't come any more: elements stand by rising tag."""
    return int(tag) > STUDY_ID
