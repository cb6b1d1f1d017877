"""Reading a radiograph out of a DICOM file, as a viewer would show it.

The steps and their order are those of DICOM PS3.4, N.2 (grey scale transformation sequence): modality LUT,
then VOI LUT or window, then inversion. Only the attributes that this needs are parsed: names and numbers of
patients are never looked at.
"""

from __future__ import annotations

import logging
import struct
import warnings
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, MissingExtraError
from cxrscribe.films.codestream import read_codestream
from cxrscribe.films.limits import check_size

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[np.float64]

NATIVE_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes of pixels that are not compressed."""

_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_MARK: Final = b"DICM"
_PREAMBLE: Final = 128
# PS3.5, 7.1.2: after these, two bytes are reserved, and the length has four.
_LONG: Final = frozenset(b"OB OW OF OD OL OV SQ UC UN UR UT SV UV".split())
_META_GROUP: Final = 2
_TRANSFER_SYNTAX: Final = 0x10
_OTHER_SIZE: Final = "has DICOM pixels of another size than its header says; fetch the file again"

# All that is read of a file. Everything else, patient attributes first of all, is skipped.
_ATTRIBUTES: Final = [
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleSlope",
    "RescaleIntercept",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "PresentationLUTShape",
    "PixelData",
]


def is_dicom(content: bytes) -> bool:
    """Whether the bytes begin as those of a DICOM file do."""
    return content[_PREAMBLE : _PREAMBLE + len(_MARK)] == _MARK


def transfer_syntax(content: bytes) -> str | None:
    """Its UID, from the file meta information (PS3.10, 7.1); None where that can't be understood."""
    place = _PREAMBLE + len(_MARK)
    while place + 12 <= len(content):
        group, element, kind, short = struct.unpack_from("<HH2sH", content, place)
        if group != _META_GROUP:
            return None
        begin, length = place + 8, short
        if kind in _LONG:
            begin, (length,) = place + 12, struct.unpack_from("<I", content, place + 8)
        if element == _TRANSFER_SYNTAX:
            return content[begin : begin + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = begin + length
    return None


def read_dicom(content: bytes) -> npt.NDArray[np.uint8]:
    """Read the bytes of a DICOM file as grey pixels uint8 [h, w], black 0 and white 255.

    Modality LUT or rescaling; then the first VOI LUT or else the first window (LINEAR, LINEAR_EXACT,
    SIGMOID), and without either the full range that the stored bits allow; then inversion where the
    photometric interpretation is MONOCHROME1 or the Presentation LUT Shape is INVERSE (both together mean
    one inversion, DICOM PS3.3, C.8.11.3). 8-bit colour becomes luma.

    Raises FilmError when the file is damaged, has no picture or several frames, has a size that `check_size`
    refuses, or attributes that leave its pixels' meaning open; MissingExtraError without the extra `dicom`.
    """
    try:
        import pydicom
    except ModuleNotFoundError:
        raise MissingExtraError("reading DICOM", "dicom") from None
    _silence_pydicom()
    if transfer_syntax(content) == _DEFLATED:
        raise FilmError(
            "is a deflated DICOM file, whose size can't be checked before it is unpacked; inflate it first"
        )
    try:
        dataset = pydicom.dcmread(BytesIO(content), specific_tags=list(_ATTRIBUTES))
        _check_picture(dataset)
    except FilmError:
        raise
    except Exception as error:
        raise FilmError(f"is a damaged DICOM file ({type(error).__name__}); fetch it again") from None
    stored = _stored_pixels(dataset)
    try:
        return _luma(stored) if stored.ndim == 3 else _displayed(stored, dataset)
    except FilmError:
        raise
    except Exception as error:
        raise FilmError(
            f"has DICOM display attributes that can't be applied ({type(error).__name__}); correct them"
        ) from None


@cache
def _silence_pydicom() -> None:
    """Keep pydicom quiet from its first use here on; who wants to hear it may say so afterwards.

    Its remarks may quote values of the file, patient attributes among them, and what a film can't do without
    is checked here anyway. `warnings.catch_warnings` around each call would be no help, for films are read on
    several threads.
    """
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


def _check_picture(dataset: Dataset) -> None:
    """Refuse what is not one film, from the header alone."""
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise FilmError("is a DICOM file without a picture; give the file of a radiograph")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise FilmError(f"is a multi-frame DICOM file of {frames} frames; give one film a file")
    check_size(int(dataset.Rows), int(dataset.Columns))
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if int(dataset.get("SamplesPerPixel", 1)) == 1:
        if photometric not in ("MONOCHROME1", "MONOCHROME2"):
            raise FilmError(
                f"is a DICOM file of the photometric interpretation {photometric!r}, not a grey film"
            )
    elif int(dataset.BitsAllocated) != 8:
        raise FilmError("is a DICOM file with colours of more than 8 bits; convert it to grey first")
    _check_bits(dataset)


def _check_bits(dataset: Dataset) -> None:
    """Refuse samples that lie in their words as the decoders don't expect them."""
    stored = int(dataset.BitsStored)
    highest = int(dataset.get("HighBit", stored - 1))
    if highest != stored - 1:  # the standard allows nothing else any more (PS3.3, table C.7-11c)
        raise FilmError(
            f"has DICOM pixels of {stored} bits with the high bit {highest}, not {stored - 1}; "
            "shift them to the right first"
        )
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated and stored < int(dataset.BitsAllocated) == 8:
        # GDCM 3.2 ends the whole process at such a JPEG.
        raise FilmError(f"has compressed DICOM pixels of {stored} bits in bytes; store all 8 bits")


def _stored_pixels(dataset: Dataset) -> npt.NDArray[Any]:
    """Integer values [h, w] as stored, or RGB uint8 [h, w, 3]."""
    from pydicom.encaps import encapsulate
    from pydicom.pixels import pixel_array

    try:
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            frame = _only_frame(dataset.PixelData)
            _check_codestream(frame, dataset)
            # Without an offset table: there is one frame, wherever a table says that it begins.
            dataset.PixelData = encapsulate([frame], has_bot=False)
        stored: npt.NDArray[Any] = pixel_array(dataset)
    except FilmError:
        raise
    except Exception as error:
        transfer = getattr(dataset.file_meta.get("TransferSyntaxUID", "unknown"), "name", "unknown")
        raise FilmError(
            f"has DICOM pixels that can't be decoded (transfer syntax {transfer!r}, {type(error).__name__}); "
            "the file is damaged or truncated, or its compression is not supported"
        ) from None
    if stored.shape[:2] != (dataset.Rows, dataset.Columns) or stored.ndim not in (2, 3):
        raise FilmError(_OTHER_SIZE)
    return stored


def _only_frame(pixel_data: bytes) -> bytes:
    """All fragments but the offset table, which is the first item: of one frame they are one picture."""
    from pydicom.encaps import generate_fragments, parse_basic_offsets

    buffer = BytesIO(pixel_data)
    try:
        parse_basic_offsets(buffer)
    except ValueError:  # a table of another length than a table has is still an item to pass over
        buffer.seek(4)
        (length,) = struct.unpack("<I", buffer.read(4))
        buffer.seek(8 + length)
    return b"".join(generate_fragments(buffer))


def _check_codestream(frame: bytes, dataset: Dataset) -> None:
    """Refuse a compressed picture that is another one than the header says."""
    found = read_codestream(frame)
    if found is None:
        return
    if (found.height, found.width) != (dataset.Rows, dataset.Columns):
        raise FilmError(_OTHER_SIZE)
    samples = int(dataset.get("SamplesPerPixel", 1))
    if found.components != samples:
        raise FilmError(
            f"has compressed DICOM pixels of {found.components} samples each, but its header says {samples}; "
            "correct it, or fetch the file again"
        )
    if found.bits > int(dataset.BitsAllocated):
        raise FilmError(
            f"has compressed DICOM pixels of {found.bits} bits, but its header has room for "
            f"{int(dataset.BitsAllocated)}; correct it, or fetch the file again"
        )


def _luma(stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    return np.array(Image.fromarray(np.ascontiguousarray(stored, dtype=np.uint8)).convert("L"))


def _displayed(stored: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.uint8]:
    """The grey scale transformation sequence, on a table of all stored values instead of on every pixel."""
    bits = int(dataset.BitsStored)
    if not 1 <= bits <= 16:
        raise FilmError(f"has DICOM pixels of {bits} bits; 1 to 16 are read")
    lowest = -(1 << (bits - 1)) if int(dataset.get("PixelRepresentation", 0)) else 0
    codes = np.arange(lowest, lowest + (1 << bits), dtype=np.int64)
    shown = _voi(*_modality(codes, dataset), dataset)
    if _is_inverse(dataset):
        shown = 1.0 - shown
    table = np.rint(shown * 255.0).astype(np.uint8)
    places = stored.astype(np.int32) - lowest
    if places.min() < 0 or places.max() >= len(table):  # pydicom masks the unused bits of most encodings
        raise FilmError(f"has DICOM pixels beyond the {bits} bits that its header says; correct that")
    return table[places]


def _modality(codes: npt.NDArray[np.int64], dataset: Dataset) -> tuple[Values, float, float]:
    """Output values [codes] of the modality LUT, and the lowest and highest one that it can give."""
    if dataset.get("ModalityLUTSequence"):
        values, highest = _look_up(codes.astype(np.float64), dataset.ModalityLUTSequence[0], _word(dataset))
        return values, 0.0, highest
    slope, intercept = (
        default if (given := _first(dataset.get(name))) is None else given
        for name, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))
    )
    with np.errstate(over="ignore", invalid="ignore"):
        values = codes.astype(np.float64) * slope + intercept
        is_finite = np.isfinite(np.ptp(values))
    if slope == 0 or not is_finite:
        raise FilmError(
            f"has a DICOM rescale slope of {slope:g} and intercept of {intercept:g}, which no film can have; "
            "correct them"
        )
    return values, float(values.min()), float(values.max())


def _voi(values: Values, lowest: float, highest: float, dataset: Dataset) -> Values:
    """Values of the modality LUT to brightness 0 to 1."""
    if dataset.get("VOILUTSequence"):
        values, highest = _look_up(values, dataset.VOILUTSequence[0], _word(dataset))
        return values / highest
    center, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if center is None or width is None:
        return (values - lowest) / max(highest - lowest, 1e-12)
    return window(values, center, width, str(dataset.get("VOILUTFunction") or "LINEAR").upper())


def window(values: Values, center: float, width: float, function: str = "LINEAR") -> Values:
    """Brightness 0 to 1 of `values` under a window, DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.

    `function` is the VOI LUT Function: LINEAR, LINEAR_EXACT or SIGMOID. Raises FilmError for another one and
    for a width that the standard forbids (under 1 for LINEAR, not above 0 otherwise).
    """
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise FilmError("has a DICOM VOI LUT Function that the standard does not define; correct it")
    if not np.isfinite([center, width]).all() or width <= 0 or (function == "LINEAR" and width < 1):
        raise FilmError(f"has a DICOM window of width {width:g}, which the standard forbids; correct it")
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return np.where(values > center - 0.5, 1.0, 0.0)
    return np.clip((values - (center - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _look_up(values: Values, table: Dataset, word: str) -> tuple[Values, float]:
    """Values through a LUT of DICOM PS3.3, C.11.1.1, and the highest one that its bits allow."""
    entries, first, bits = (int(number) for number in table.LUTDescriptor)
    entries = entries or 65536  # the standard writes 65536 as 0
    if not 8 <= bits <= 16:
        raise FilmError(f"has a DICOM LUT of {bits} bits; the standard allows 8 to 16")
    data = table.LUTData
    if isinstance(data, bytes):
        # Written as OW; 8-bit entries may be packed two to a word.
        numbers = np.frombuffer(data, dtype=np.uint8 if len(data) < 2 * entries else word).astype(np.int64)
    else:
        numbers = np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF
    if len(numbers) < entries:
        raise FilmError("has a DICOM LUT that is shorter than it says; fetch the file again")
    places = np.clip(np.rint(values) - first, 0, entries - 1).astype(np.int64)
    highest = float((1 << bits) - 1)
    return np.clip(numbers[places].astype(np.float64), 0.0, highest), highest


def _word(dataset: Dataset) -> str:
    """The numpy type of a 16-bit word in this file."""
    return "<u2" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">u2"


def _is_inverse(dataset: Dataset) -> bool:
    return (
        str(dataset.PhotometricInterpretation) == "MONOCHROME1"
        or str(dataset.get("PresentationLUTShape", "")).upper() == "INVERSE"
    )


def _first(value: Any) -> float | None:
    """The first of one or several numbers: of several windows a viewer shows the first."""
    if value is None or value == "":
        return None
    if isinstance(value, str | int | float):
        return float(value)
    return float(value[0]) if len(value) else None
