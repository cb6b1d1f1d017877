"""Reading a radiograph out of a DICOM file; `display` then shows it as a viewer would.

Only the attributes that this needs are parsed: names and numbers of patients are never looked at.
"""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, InputError, MissingExtraError
from cxrscribe.films.codestream import read_codestream
from cxrscribe.films.display import NEWEST_RULES, shown, square
from cxrscribe.films.limits import check_size, room_for

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

FILM_MODALITIES: Final = ("CR", "DX")
"""Computed and digital radiography (PS3.3, C.7.3.1.1.1): what is read unless a user asks for more."""

NATIVE_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes of pixels that are not compressed."""

# Of files that don't tell their modality: CR, DX for presentation and for processing, secondary capture.
_FILM_CLASSES: Final = ("1", "1.1", "1.1.1", "7")
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
# Defined terms of PS3.16, annex L, that are no part of the chest. Other words, of any language, may be.
_OTHER_PARTS: Final = frozenset(
    """
    ABDOMEN ABDOMENPELVIS ANKLE ARM BLADDER BRAIN BREAST CALF COLON CSPINE ELBOW EXTREMITY EYE FACE FEMUR
    FINGER FOOT FOREARM HAND HEAD HIP HUMERUS JAW KIDNEY KNEE LEG LSPINE LSSPINE MANDIBLE MAXILLA NASALBONE
    NECK ORBIT PATELLA PELVIS RADIUS SACRUM SINUS SKULL SSPINE TIBIA TOE TOOTH WRIST ZYGOMA
    """.split()  # noqa: SIM905 (a list takes forty lines)
)
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_MARK: Final = b"DICM"
_PREAMBLE: Final = 128
# PS3.5, 7.1.2: after these, two bytes are reserved, and the length has four.
_LONG: Final = frozenset(b"OB OW OF OD OL OV SQ UC UN UR UT SV UV".split())
_META_GROUP: Final = 2
# Length or version of that group, which stand at its beginning: files that have lost their preamble.
_META_STARTS: Final = (b"\x02\0\0\0UL", b"\x02\0\x01\0OB")
_TRANSFER_SYNTAX: Final = 0x10
# Best first. Those before GDCM raise where a picture is damaged; GDCM has ended the process it ran in.
_DECODERS: Final = ("pydicom", "pylibjpeg", "pillow", "gdcm")
_JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_OTHER_SIZE: Final = "has DICOM pixels of another size than its header says; fetch the file again"

# All that is read of a file. Everything else, patient attributes first of all, is skipped.
_ATTRIBUTES: Final = [
    "SOPClassUID",
    "Modality",
    "BodyPartExamined",
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
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelAspectRatio",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "PixelData",
]


@dataclass(frozen=True)
class DicomRules:
    """What DICOM files are films, and how they are shown. Raises InputError when `modalities` are none."""

    display: int
    """Version of the rules of `display`."""
    modalities: tuple[str, ...]
    """Which ones are read, in capitals; empty for all, and then of all parts of the body."""

    def __init__(self, display: int = NEWEST_RULES, modalities: Iterable[str] = FILM_MODALITIES) -> None:
        given = [modalities] if isinstance(modalities, str) else list(modalities)
        if not all(isinstance(code, str) and 2 <= len(code) <= 16 for code in given):  # PS3.5, 6.2: CS
            raise InputError(f"modalities are {given}; give DICOM's codes, as in ('CR', 'DX')")
        object.__setattr__(self, "display", display)
        object.__setattr__(self, "modalities", tuple(code.upper() for code in given))


def is_dicom(content: bytes) -> bool:
    """Whether the bytes begin as those of a DICOM file do, or as its file meta information does."""
    return _has_preamble(content) or content.startswith(_META_STARTS)


def _has_preamble(content: bytes) -> bool:
    return content[_PREAMBLE : _PREAMBLE + len(_MARK)] == _MARK


def transfer_syntax(content: bytes) -> str | None:
    """Its UID, from the file meta information (PS3.10, 7.1); None where that can't be understood."""
    place = _PREAMBLE + len(_MARK) if _has_preamble(content) else 0
    found: list[str] = []
    while place + 12 <= len(content):
        group, element, kind, short = struct.unpack_from("<HH2sH", content, place)
        if group != _META_GROUP:
            break
        begin, length = place + 8, short
        if kind in _LONG:
            begin, (length,) = place + 12, struct.unpack_from("<I", content, place + 8)
        if element == _TRANSFER_SYNTAX:
            found.append(content[begin : begin + length].rstrip(b"\0 ").decode("ascii", "replace"))
        place = begin + length
    return found[0] if len(found) == 1 else None


def read_dicom(content: bytes, rules: DicomRules | None = None) -> npt.NDArray[np.uint8]:
    """Read the bytes of a DICOM file as grey pixels uint8 [h, w], black 0 and white 255.

    8-bit colour becomes luma.

    Raises FilmError when the file is damaged, has no picture or several frames, has a size that `check_size`
    refuses, or attributes that leave its pixels' meaning open; MissingExtraError without the extra `dicom`.
    """
    rules = rules if rules is not None else DicomRules()
    try:
        import pydicom
    except ModuleNotFoundError:
        raise MissingExtraError("reading DICOM", "dicom") from None
    _silence_pydicom()
    syntax = transfer_syntax(content)
    if syntax == _DEFLATED:
        raise FilmError(
            "is a deflated DICOM file, whose size can't be checked before it is unpacked; inflate it first"
        )
    if not _has_preamble(content):
        content = bytes(_PREAMBLE) + _MARK + content
    try:
        dataset = pydicom.dcmread(BytesIO(content), specific_tags=list(_ATTRIBUTES))
        if syntax is not None and syntax != dataset.file_meta.get("TransferSyntaxUID"):
            # By the one it was decided which process may decode the film, by the other it would be decoded.
            raise FilmError("is a DICOM file whose transfer syntax can be read in two ways; fetch it again")
        _check_kind(dataset, rules.modalities)
        _check_picture(dataset)
    except (FilmError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        raise FilmError(f"is a damaged DICOM file ({type(error).__name__}); fetch it again") from None
    with room_for(int(dataset.Rows), int(dataset.Columns)):
        return _picture(dataset, rules)


def _picture(dataset: Dataset, rules: DicomRules) -> npt.NDArray[np.uint8]:
    stored = _stored_pixels(dataset)
    try:
        pixels = _luma(stored) if stored.ndim == 3 else shown(stored, dataset, rules.display)
        return square(pixels, dataset) if rules.display > 1 else pixels
    except (FilmError, MissingExtraError, MemoryError):
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


def _check_kind(dataset: Dataset, modalities: tuple[str, ...]) -> None:
    """Refuse what is no film of a chest, as far as the header tells."""
    if not modalities:
        return
    modality = str(dataset.get("Modality") or "").strip().upper()
    sop_class = str(dataset.get("SOPClassUID") or "")
    if not modality and sop_class and sop_class.removeprefix(_STORAGE) not in _FILM_CLASSES:
        raise FilmError(
            f"is a DICOM file of the SOP class {sop_class}, not a radiograph; --modality any reads it, and "
            "so does load(modalities=())"
        )
    if modality and modality not in modalities:
        raise FilmError(
            f"is a DICOM file of modality {modality}, not a radiograph ({', '.join(modalities)}); "
            f"--modality {modality} reads it, and so does load(modalities=)"
        )
    part = str(dataset.get("BodyPartExamined") or "").strip().upper()
    if part in _OTHER_PARTS:
        raise FilmError(
            f"is a radiograph of another part of the body ({part}); --modality any reads it, and so does "
            "load(modalities=())"
        )


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
        syntax, bits = dataset.file_meta.TransferSyntaxUID, 0
        if syntax.is_encapsulated:
            frame = _only_frame(dataset.PixelData)
            bits = _checked_bits(frame, dataset)
            # Without an offset table: there is one frame, wherever a table says that it begins.
            dataset.PixelData = encapsulate([frame], has_bot=False)
        stored: npt.NDArray[Any]
        if syntax == _JPEG_EXTENDED and bits > 8:
            stored = _read_with_gdcm(dataset)
        else:
            stored = pixel_array(dataset, decoding_plugin=_decoder(syntax))
    except (FilmError, MissingExtraError, MemoryError):
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


def _decoder(syntax: str) -> str:
    """The best of pydicom's decoders for this transfer syntax; empty where nothing has to be decoded."""
    from pydicom.pixels import get_decoder

    there = get_decoder(syntax).available_plugins if syntax not in NATIVE_SYNTAXES else ()
    return next((name for name in _DECODERS if name in there), "")


def _read_with_gdcm(dataset: Dataset) -> npt.NDArray[Any]:
    """Pixels of 12-bit JPEG: GDCM reads them out of a file, but not as pydicom asks it to.

    The file has what is read here of a film, and nothing of a patient.
    """
    try:
        import gdcm
    except ModuleNotFoundError:
        raise MissingExtraError("reading 12-bit JPEG in DICOM", "dicom") from None
    with TemporaryDirectory(prefix="cxrscribe-") as folder:
        path = Path(folder) / "film.dcm"
        dataset.save_as(path, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        if not reader.Read():
            raise ValueError("GDCM can't read it")
        buffer: bytes = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    kind = np.dtype("<i2" if int(dataset.get("PixelRepresentation", 0)) else "<u2")
    return np.frombuffer(buffer, kind).reshape(dataset.Rows, dataset.Columns)


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


def _checked_bits(frame: bytes, dataset: Dataset) -> int:
    """Bits of a sample of a compressed picture; 0 where it doesn't tell.

    Raises FilmError when it is another picture than the header says.
    """
    found = read_codestream(frame)
    if found is None:
        return 0
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
    return found.bits


def _luma(stored: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    return np.array(Image.fromarray(np.ascontiguousarray(stored, dtype=np.uint8)).convert("L"))
