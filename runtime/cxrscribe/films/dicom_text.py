"""The one text of a DICOM file that a user may ask for by its attribute: what is known of the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cxrscribe.arguments import shown
from cxrscribe.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_CHARACTERS: Final = 10_240
"""Of a text, as many as an LT may have (PS3.5, 6.2); longer ones are cut."""

_MOST_BYTES: Final = 16 * MOST_CHARACTERS  # of the largest characters, with escapes between them
_TEXTS: Final = ("LO", "LT", "SH", "ST", "UC", "UT")
_SEVERAL_VALUED: Final = ("LO", "SH", "UC")  # PS3.5, 6.4: in the others a backslash is one
_EXAMPLES: Final = "ReasonForTheRequestedProcedure or AdditionalPatientHistory"


def check_attribute(keyword: object) -> str:
    """The keyword of a text attribute of DICOM's dictionary, as it was given.

    Raises InputError when it is none; MissingExtraError without the extra `dicom`.
    """
    try:
        from pydicom.datadict import tag_for_keyword
    except ModuleNotFoundError:
        raise MissingExtraError("reading a text of DICOM", "dicom") from None
    if not isinstance(keyword, str) or not keyword or tag_for_keyword(keyword) is None:
        raise InputError(
            f"indication_from_dicom is {shown(keyword)}, no attribute of DICOM; give its keyword, "
            f"{_EXAMPLES} say"
        )
    kind = _kind(keyword)
    if kind not in _TEXTS:
        raise InputError(
            f"indication_from_dicom is {keyword}, whose values are {kind} and no text ({', '.join(_TEXTS)}); "
            f"give another one, {_EXAMPLES} say"
        )
    return keyword


def read_text(dataset: Dataset, keyword: str) -> str | None:
    """What the attribute says, of a dataset that was read with it and with SpecificCharacterSet.

    Several values are sentences. None where it is absent, blank, or can't be decoded: no film is lost for
    the sake of it.
    """
    from pydicom.charset import convert_encodings, decode_bytes
    from pydicom.valuerep import TEXT_VR_DELIMS

    try:
        value = dataset.get_item(keyword).value
        if not isinstance(value, bytes):
            return None
        encodings = convert_encodings(dataset.get("SpecificCharacterSet"))
        # Whole, and only then into values: a byte like a backslash may be half of a character.
        text = decode_bytes(value[:_MOST_BYTES], encodings, TEXT_VR_DELIMS)
    except Exception:  # whatever a damaged value brings, which no error may show
        return None
    if _kind(keyword) in _SEVERAL_VALUED:
        text = ". ".join(part for each in text.split("\\") if (part := each.strip("\0 ")))
    text = text.strip("\0 ")[:MOST_CHARACTERS]
    return text if text and not text.isspace() else None


def _kind(keyword: str) -> str:
    """Its value representation, as the dictionary has it: files may say another one."""
    from pydicom.datadict import dictionary_VR

    return str(dictionary_VR(keyword))
