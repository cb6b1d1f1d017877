"""Reading a radiograph out of a DICOM file; `display` then shows it as a viewer would.

Only the attributes that this needs are parsed, and the one text that a user asks for: names and numbers of
patients are never looked at.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import FilmError, MissingExtraError, Reason
from cxrscribe.films.dicom_text import read_text
from cxrscribe.films.display import RANGE, is_square, shown, square, through_palette
from cxrscribe.films.frames import PixelData, StoredValues, stored_values
from cxrscribe.films.levels import Picture, luma
from cxrscribe.films.limits import MOST_PIXELS, check_size, room_for
from cxrscribe.films.quiet import watch_loggers
from cxrscribe.films.rules import FilmRules

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

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
# Defined terms of modalities (PS3.3, C.7.3.1.1.1) and of photometric interpretations (C.7.6.3.1.2).
_TERMS: Final = frozenset(
    """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL
    IVOCT IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG
    RESP RF RG RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN
    TEXTUREMAP TG US VA XA XAPROTOCOL XC
    RGB HSV ARGB CMYK XYB YBR_FULL YBR_FULL_422 YBR_PARTIAL_422 YBR_PARTIAL_420 YBR_ICT YBR_RCT
    """.split()  # noqa: SIM905 (a list takes a hundred lines)
)
_STANDARD_UID: Final = re.compile(r"1\.2\.840\.10008\.[0-9.]{1,50}")
_PYDICOM: Final = "pydicom"
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_MOST_INFLATED: Final = 2 * MOST_PIXELS + (1 << 20)  # two bytes a pixel, and everything else
_MARK: Final = b"DICM"
_PREAMBLE: Final = 128
# PS3.5, 7.1.2: after these, two bytes are reserved, and the length has four.
_LONG: Final = frozenset(b"OB OW OF OD OL OV SQ UC UN UR UT SV UV".split())
_META_GROUP: Final = 2
# Length or version of that group, which stand at its beginning: files that have lost their preamble.
_META_STARTS: Final = (b"\x02\0\0\0UL", b"\x02\0\x01\0OB")
_TRANSFER_SYNTAX: Final = 0x10
_PIXEL_DATA: Final = (0x7FE0, 0x0010)
_MOST_READS: Final = 100_000  # a film has about a thousand
_MOST_META_ELEMENTS: Final = 1000
_HEADER: Final = 12  # bytes before the value of an element whose length has four
_UNDEFINED: Final = 0xFFFFFFFF
_PALETTE: Final = "PALETTE COLOR"
_NO_PICTURE: Final = "is a DICOM file without a picture; give the file of a radiograph"
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
    *(
        f"{segmented}{colour}PaletteColorLookupTable{part}"
        for colour in ("Red", "Green", "Blue")
        for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
    ),
]


def is_dicom(content: bytes) -> bool:
    """Whether the bytes begin as those of a DICOM file do, or as its file meta information does."""
    return _has_preamble(content) or content.startswith(_META_STARTS)


def _has_preamble(content: bytes) -> bool:
    return content[_PREAMBLE : _PREAMBLE + len(_MARK)] == _MARK


def transfer_syntax(content: bytes) -> str | None:
    """Its UID, from the file meta information (PS3.10, 7.1).

    `content`: the file, or how it begins. None where that can't be understood, or doesn't have all of it.
    """
    found, end = _read_meta(content)
    return found[0] if len(found) == 1 and end + _HEADER <= len(content) else None


def _read_meta(content: bytes) -> tuple[list[str], int]:
    """The transfer syntaxes that the file meta information has, and where it ends."""
    place = _PREAMBLE + len(_MARK) if _has_preamble(content) else 0
    found: list[str] = []
    for _ in range(_MOST_META_ELEMENTS):
        if place + _HEADER > len(content):
            break
        group, element, kind, short = struct.unpack_from("<HH2sH", content, place)
        if group != _META_GROUP:
            break
        begin, length = place + 8, short
        if kind in _LONG:
            begin, (length,) = place + 12, struct.unpack_from("<I", content, place + 8)
        if element == _TRANSFER_SYNTAX:
            found.append(content[begin : begin + length].rstrip(b"\0 ").decode("ascii", "replace"))
        place = begin + length
    return found, place


def _inflated(content: bytes) -> bytes:
    """A deflated file (PS3.5, A.5) as one that isn't, of at most `_MOST_INFLATED` bytes."""
    dataset, is_whole = _inflated_dataset(content, _MOST_INFLATED)
    if len(dataset) >= _MOST_INFLATED:
        raise FilmError(
            f"is a deflated DICOM file of more than {_MOST_INFLATED:,} bytes, more than a film has; inflate "
            "and reduce it first",
            Reason.TOO_LARGE,
        )
    if not is_whole:
        raise FilmError("is a deflated DICOM file that is cut off; fetch it again", Reason.TRUNCATED)
    return _explicit_file(dataset)


def header_start(content: bytes, most: int) -> BytesIO:
    """The header of a DICOM file, to be read by pydicom, as far as `content` has it: how the file begins.

    Of a deflated file it has at most `most` bytes. Raises FilmError where that can't be inflated.
    """
    if transfer_syntax(content) == _DEFLATED:
        content = _explicit_file(_inflated_dataset(content, most)[0])
    return _Bounded(content if _has_preamble(content) else bytes(_PREAMBLE) + _MARK + content)


def _inflated_dataset(content: bytes, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of what a deflated file's dataset is, and whether the stream ends with them."""
    _, start = _read_meta(content)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflate.decompress(memoryview(content)[start:], most), inflate.eof
    except zlib.error as error:
        raise FilmError(f"is a damaged deflated DICOM file ({error}); fetch it again") from None


def _explicit_file(dataset: bytes) -> bytes:
    """A file of a dataset in explicit VR little endian."""
    uid = _EXPLICIT_LITTLE_ENDIAN.encode() + b"\0"
    meta = struct.pack("<HH2sH", _META_GROUP, _TRANSFER_SYNTAX, b"UI", len(uid)) + uid
    return bytes(_PREAMBLE) + _MARK + meta + dataset


def read_dicom(
    content: bytes, size_hint: tuple[int, int] | None = None, rules: FilmRules | None = None
) -> Picture:
    """Read the bytes of a DICOM file as grey pixels uint8 [h, w], black 0 and white 255.

    8-bit colour becomes luma. `size_hint` as of `read_film`; `rules.text`: the attribute whose text the
    picture has too.

    Raises FilmError when the file is damaged, has no picture or several frames, has a size that `check_size`
    refuses, or attributes that leave its pixels' meaning open; MissingExtraError without the extra `dicom`.
    """
    rules = rules if rules is not None else FilmRules()
    try:
        import pydicom
    except ModuleNotFoundError:
        raise MissingExtraError("reading DICOM", "dicom") from None
    silence_pydicom()
    syntax = transfer_syntax(content)
    if syntax == _DEFLATED:
        content = _inflated(content)
        syntax = transfer_syntax(content)
    if not _has_preamble(content):
        content = bytes(_PREAMBLE) + _MARK + content
    buffer = _Bounded(content)
    try:
        dataset = pydicom.dcmread(buffer, specific_tags=_tags(rules.text), stop_before_pixels=True)
        if syntax is not None and syntax != dataset.file_meta.get("TransferSyntaxUID"):
            # By the one it was decided which process may decode the film, by the other it would be decoded.
            raise FilmError("is a DICOM file whose transfer syntax can be read in two ways; fetch it again")
        _check_kind(dataset, rules.modalities)
        _check_picture(dataset)
        data = _pixel_data(content, buffer.tell(), dataset)
        text = read_text(dataset, rules.text) if rules.text is not None else None
    except (FilmError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        if buffer.has_given_up:
            raise FilmError("is a DICOM file of too many elements; remove what no film needs") from None
        raise FilmError(f"is a damaged DICOM file ({type(error).__name__}); fetch it again") from None
    with room_for(int(dataset.Rows), int(dataset.Columns)):
        picture = _picture(dataset, data, size_hint if rules.reduces_dicom else None, rules)
    return picture._replace(text=text)


@cache
def _tags(text: str | None) -> list[BaseTag]:
    """Of `_ATTRIBUTES`, and of a text: to look up their names takes as long as to read a header does."""
    from pydicom.tag import Tag

    return [Tag(name) for name in (*_ATTRIBUTES, *(() if text is None else ("SpecificCharacterSet", text)))]


class _Bounded(BytesIO):
    """A file whose reader gives up after so many reads: there is one at least for each element and item."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._left = _MOST_READS

    @property
    def has_given_up(self) -> bool:
        return self._left < 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self.has_given_up:
            raise OSError("too many reads")
        return super().read(size)


def _pixel_data(content: bytes, place: int, dataset: Dataset) -> PixelData:
    """Pixel Data, whose element begins at `place` (PS3.5, 7.1)."""
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    # Some files have VRs that their syntax doesn't have, or lack them: two letters would be an odd length.
    kind = content[place + 4 : place + 6]
    begin = place + (12 if kind in _LONG else 8)
    if begin > len(content) or struct.unpack_from(f"{order}HH", content, place) != _PIXEL_DATA:
        raise FilmError(_NO_PICTURE, Reason.NOT_A_RADIOGRAPH)
    (length,) = struct.unpack_from(f"{order}L", content, begin - 4)
    end = len(content) if length == _UNDEFINED else begin + length
    if end > len(content):
        raise FilmError("is a DICOM file that is cut off in its pixels; fetch it again", Reason.TRUNCATED)
    shown_kind = kind.decode("ascii") if kind in _LONG else "OW"  # implied (PS3.5, A.1)
    return PixelData(shown_kind, memoryview(content)[begin:end], length == _UNDEFINED)


def _picture(
    dataset: Dataset, data: PixelData, size_hint: tuple[int, int] | None, rules: FilmRules
) -> Picture:
    stored = stored_values(dataset, data, size_hint if _may_reduce(dataset) else None)
    try:
        picture = _displayed(stored, dataset, rules)
        is_whole = stored.values.shape[:2] == (dataset.Rows, dataset.Columns)
        if not is_whole and picture.display.startswith(RANGE):  # the window left nothing to see
            picture = _displayed(stored_values(dataset, data), dataset, rules)
        return picture._replace(pixels=square(picture.pixels, dataset)) if rules.version > 1 else picture
    except (FilmError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        raise FilmError(
            f"has DICOM display attributes that can't be applied ({type(error).__name__}); correct them"
        ) from None


def _may_reduce(dataset: Dataset) -> bool:
    """Whether averages of stored values are shown as the values would be.

    The range of a picture is that of its single values, noise included; padding is a matter of single values
    too, and so are places in a palette. Pixels that have to be made square first are decoded whole.
    """
    has_window = bool(dataset.get("VOILUTSequence") or dataset.get("WindowWidth"))
    return (
        has_window
        and dataset.get("PixelPaddingValue") is None
        and dataset.PhotometricInterpretation != _PALETTE
        and is_square(dataset)
    )


def _displayed(stored: StoredValues, dataset: Dataset, rules: FilmRules) -> Picture:
    if dataset.PhotometricInterpretation == _PALETTE:
        return through_palette(stored, dataset)
    if stored.values.ndim == 3:
        return Picture(luma(stored.values), "as stored")
    return shown(stored, dataset, rules.version)


def silence_pydicom() -> None:
    """Keep pydicom's warnings back, unless an application has asked for pydicom's by name.

    They may quote values of the file, patient attributes among them, and what a film can't do without is
    checked here anyway. `warnings.catch_warnings` around each call would be no help, for films are read on
    several threads. What it logs, `quiet_libraries` drops.
    """
    for _, _, category, module, _ in warnings.filters:  # those that were added last come first
        if module is not None and _PYDICOM in getattr(module, "pattern", str(module)):
            break
        if module is None and issubclass(UserWarning, category):  # of all, whoever they come from
            warnings.filterwarnings("ignore", module=_PYDICOM)
            break
    else:
        warnings.filterwarnings("ignore", module=_PYDICOM)
    watch_loggers()


def _said(value: str, what: str) -> str:
    """`modality CT`; what is no term of the standard isn't repeated: a damaged file may say a name."""
    if value in _TERMS or _STANDARD_UID.fullmatch(value):
        return f"{'the ' if ' ' in what else ''}{what} {value}"
    return f"an unknown {what}"


def _check_kind(dataset: Dataset, modalities: tuple[str, ...]) -> None:
    """Refuse what is no film of a chest, as far as the header tells."""
    if not modalities:
        return
    modality = str(dataset.get("Modality") or "").strip().upper()
    sop_class = str(dataset.get("SOPClassUID") or "")
    if not modality and sop_class and sop_class.removeprefix(_STORAGE) not in _FILM_CLASSES:
        raise FilmError(
            f"is a DICOM file of {_said(sop_class, 'SOP class')}, not a radiograph; --modality any reads it, "
            "and so does load(modalities=())",
            Reason.NOT_A_RADIOGRAPH,
        )
    if modality and modality not in modalities:
        raise FilmError(
            f"is a DICOM file of {_said(modality, 'modality')}, not a radiograph ({', '.join(modalities)}); "
            f"--modality {modality if modality in _TERMS else 'any'} reads it, and so does load(modalities=)",
            Reason.NOT_A_RADIOGRAPH,
        )
    part = str(dataset.get("BodyPartExamined") or "").strip().upper()
    if part in _OTHER_PARTS:
        raise FilmError(
            f"is a radiograph of another part of the body ({part}); --modality any reads it, and so does "
            "load(modalities=())",
            Reason.NOT_A_RADIOGRAPH,
        )


def _check_picture(dataset: Dataset) -> None:
    """Refuse what is not one film, from the header alone."""
    if "Rows" not in dataset or "Columns" not in dataset:
        raise FilmError(_NO_PICTURE, Reason.NOT_A_RADIOGRAPH)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise FilmError(
            f"is a multi-frame DICOM file of {frames} frames; give one film a file", Reason.SEVERAL_FRAMES
        )
    check_size(int(dataset.Rows), int(dataset.Columns))
    photometric = str(dataset.get("PhotometricInterpretation", ""))
    if int(dataset.get("SamplesPerPixel", 1)) == 1:
        if photometric not in ("MONOCHROME1", "MONOCHROME2", _PALETTE):
            raise FilmError(
                f"is a DICOM file of {_said(photometric, 'photometric interpretation')}, not a grey film",
                Reason.UNSUPPORTED,
            )
        if photometric == _PALETTE and "RedPaletteColorLookupTableDescriptor" not in dataset:
            raise FilmError("is a DICOM file of the colours of a palette, but without one; fetch it again")
    elif int(dataset.BitsAllocated) != 8:
        raise FilmError(
            "is a DICOM file with colours of more than 8 bits; convert it to grey first", Reason.UNSUPPORTED
        )
    _check_bits(dataset)


def _check_bits(dataset: Dataset) -> None:
    """Refuse samples that lie in their words as the decoders don't expect them."""
    stored = int(dataset.BitsStored)
    highest = int(dataset.get("HighBit", stored - 1))
    if highest != stored - 1:  # the standard allows nothing else any more (PS3.3, table C.7-11c)
        raise FilmError(
            f"has DICOM pixels of {stored} bits with the high bit {highest}, not {stored - 1}; "
            "shift them to the right first",
            Reason.UNSUPPORTED,
        )
