"""The stored values of a DICOM film: its one frame, unpacked by the decoder of its transfer syntax.

| Compression | Decoded by |
|---|---|
| none | numpy |
| JPEG of 8 bits, JPEG 2000, HTJ2K | Pillow (libjpeg-turbo, OpenJPEG), at a reduced size if asked for |
| JPEG of 12 bits, JPEG lossless | imagecodecs (libjpeg-turbo) |
| JPEG of other bits, which is no standard | GDCM, if it is installed |
| JPEG-LS | imagecodecs (CharLS) |
| RLE, JPEG 2000 of colours | imagecodecs |
| JPEG and RLE of colours, and samples that lie in odd ways | pydicom, with Pillow |
"""

from __future__ import annotations

import math
import struct
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, MissingExtraError
from cxrscribe.films.codestream import Codestream, read_codestream
from cxrscribe.films.resample import Resolution

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Values = npt.NDArray[Any]


NATIVE_SYNTAXES: Final = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
"""Transfer syntaxes of pixels that are not compressed."""

_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG: Final = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")
_JPEG_LOSSLESS: Final = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_JPEG_LS: Final = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81")
_JPEG_2000: Final = tuple(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 201, 202, 203))
# Tags of an item and of the end of a sequence, as numbers of four bytes.
_ITEM: Final = 0xE000FFFE
_DELIMITER: Final = 0xE0DDFFFE
_MOST_ITEMS: Final = 10_000

_SEVERAL_SAMPLES: Final = (
    "has compressed DICOM pixels of several samples each, but its header says 1; fetch the file again"
)
_OTHER_SIZE: Final = "has DICOM pixels of another size than its header says; fetch the file again"


class StoredValues(NamedTuple):
    """The samples of a frame."""

    values: Values
    """Integers [h, w] within BitsStored; or uint8 [h, w, 3], RGB."""
    least: int
    largest: int
    resolution: Resolution | None = None
    """As of `Picture`."""


def stored_values(
    dataset: Dataset, data: memoryview, smallest: tuple[int, int] | None = None
) -> StoredValues:
    """The frame of a film, whose header is `dataset`, as it is stored.

    `data`: the value of its Pixel Data, or all that follows where it is compressed. `smallest` (height,
    width): what can be decoded at a reduced size may be, not below this on either side. Raises FilmError when
    the frame can't be decoded, or is another picture than the header says.
    """
    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax in NATIVE_SYNTAXES:
            values = _native(dataset, data, syntax)
        else:
            values = _compressed(dataset, data, syntax, smallest)
    except (FilmError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        transfer = getattr(dataset.file_meta.get("TransferSyntaxUID", "unknown"), "name", "unknown")
        raise FilmError(
            f"has DICOM pixels that can't be decoded (transfer syntax {transfer!r}, {type(error).__name__}); "
            "the file is damaged or truncated, or its compression is not supported"
        ) from None
    whole = (dataset.Rows, dataset.Columns)
    if values.ndim not in (2, 3) or not all(map(_lies_between, smallest or whole, values.shape, whole)):
        raise FilmError(_OTHER_SIZE)
    if values.ndim == 3:
        return StoredValues(values, 0, 255)
    stored = _within_bits(values, dataset, syntax in (*NATIVE_SYNTAXES, _RLE))
    if syntax not in _JPEG_2000 or values.shape == whole:
        return stored
    return stored._replace(resolution=Resolution(*whole, 1 << round(math.log2(whole[0] / values.shape[0]))))


def _native(dataset: Dataset, data: memoryview, syntax: str) -> Values:
    """Pixels that aren't compressed, where they lie in the file's bytes."""
    bits = int(dataset.BitsAllocated)
    # The order of single bytes in words of two depends on more than the syntax.
    if bits not in (8, 16) or _samples(dataset) != 1 or (syntax == _BIG_ENDIAN and bits == 8):
        return _by_pydicom(dataset, bytes(data), "")
    kind = np.dtype(
        f"{'>' if syntax == _BIG_ENDIAN else '<'}{'i' if _is_signed(dataset) else 'u'}{bits // 8}"
    )
    return np.frombuffer(data, kind, dataset.Rows * dataset.Columns).reshape(dataset.Rows, dataset.Columns)


def _compressed(dataset: Dataset, data: memoryview, syntax: str, smallest: tuple[int, int] | None) -> Values:
    from pydicom.encaps import encapsulate

    frame = _only_frame(data)
    head = read_codestream(frame)
    if head is not None:
        _check_head(head, dataset)
    if _samples(dataset) == 1:
        if syntax in _JPEG and (head is None or head.bits == 8):
            return _jpeg(frame, dataset, smallest)
        if syntax in _JPEG_2000 and head is not None:
            return _jpeg_2000(frame, head, dataset, smallest)
    if syntax in _JPEG and head is not None and head.bits not in (8, 12):
        return _by_gdcm(dataset, frame, head.bits)
    if syntax in _JPEG_LOSSLESS or (syntax in _JPEG and head is not None and head.bits == 12):
        return _unpacked(_imagecodecs().jpeg8_decode(frame), dataset)
    if syntax in _JPEG_2000:
        return _unpacked(
            _imagecodecs().jpeg2k_decode(memoryview(frame)[head.start if head else 0 :]), dataset
        )
    if syntax in _JPEG_LS:
        return _unpacked(_imagecodecs().jpegls_decode(frame), dataset)
    if syntax == _RLE and _samples(dataset) == 1 and int(dataset.BitsAllocated) in (8, 16):
        kind = f"<u{int(dataset.BitsAllocated) // 8}"
        return _unpacked(np.frombuffer(_imagecodecs().dicomrle_decode(frame, kind), kind), dataset)
    # Without an offset table: there is one frame, wherever a table says that it begins.
    decoder = "pydicom" if syntax == _RLE else "pillow"
    return _by_pydicom(dataset, encapsulate([frame], has_bot=False), decoder)


def _by_pydicom(dataset: Dataset, data: bytes, decoder: str) -> Values:
    from pydicom.pixels import pixel_array

    dataset.PixelData = data
    values: Values = pixel_array(dataset, decoding_plugin=decoder)
    return values


def _by_gdcm(dataset: Dataset, frame: bytes, bits: int) -> Values:
    """Pixels of JPEG whose samples have so many bits: the standard has 8 and 12, GDCM writes others too.

    GDCM reads them out of a file, which has what is read here of a film, and nothing of a patient.
    """
    from pydicom.encaps import encapsulate

    try:
        import gdcm
    except ModuleNotFoundError:
        raise FilmError(
            f"has JPEG pixels of {bits} bits, where the standard allows 8 and 12; only GDCM reads them: "
            "install python-gdcm"
        ) from None
    dataset.add_new("PixelData", "OB", encapsulate([frame], has_bot=False))
    dataset["PixelData"].is_undefined_length = True
    with TemporaryDirectory(prefix="cxrscribe-") as folder:
        path = Path(folder) / "film.dcm"
        dataset.save_as(path, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        if not reader.Read():
            raise ValueError("GDCM can't read it")
        buffer: bytes = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return _unpacked(np.frombuffer(buffer, "<u2"), dataset)


def _jpeg(frame: bytes, dataset: Dataset, smallest: tuple[int, int] | None) -> Values:
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(BytesIO(frame)) as image:
        if image.mode != "L":
            raise FilmError(_SEVERAL_SAMPLES)
        if _is_signed(dataset):  # neighbours of 127 and -128 have no average
            return _sign_extended(np.array(image, np.int32), 8)
        if smallest is not None:
            image.draft("L", (min(smallest[1], image.width), min(smallest[0], image.height)))
        return np.array(image)


def _jpeg_2000(frame: bytes, head: Codestream, dataset: Dataset, smallest: tuple[int, int] | None) -> Values:
    """Samples of grey JPEG 2000, at the size of one of its resolutions."""
    levels = 0
    if (
        smallest is not None
        and head.bits == int(dataset.BitsStored)
        and head.is_signed == _is_signed(dataset)
    ):
        levels = _levels_to_spare(head, smallest)
    frame = frame[head.start :]  # without boxes, which Pillow would follow
    values = _by_openjpeg(frame, levels)
    wanted = tuple(-(-side >> levels) for side in (head.height, head.width))
    if levels and values.shape != wanted:  # where its grid begins elsewhere than at 0
        values = _by_openjpeg(frame, 0)
    # Pillow shifts samples up to 8 or 16 bits, and what is signed up to begin at 0.
    room = 8 * values.dtype.itemsize
    if head.bits > room:
        raise FilmError(f"has JPEG 2000 pixels of {head.bits} bits, and 1 to 16 are read")
    samples = (values >> (room - head.bits)).astype(np.int32)
    if head.is_signed:
        samples -= 1 << (head.bits - 1)
    if head.is_signed and not _is_signed(dataset):  # then its bits mean what the header says
        samples &= (1 << head.bits) - 1
    elif _is_signed(dataset) and not head.is_signed:
        samples = _sign_extended(samples, head.bits)
    return samples


def _by_openjpeg(frame: bytes, levels: int) -> npt.NDArray[Any]:
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    with Jpeg2KImageFile(BytesIO(frame)) as image:
        if image.mode not in ("L", "I;16"):
            raise FilmError(_SEVERAL_SAMPLES)
        image.reduce = levels
        return np.array(image)


def _levels_to_spare(head: Codestream, smallest: tuple[int, int]) -> int:
    """How often both sides can be halved."""
    levels = 0
    while levels < head.levels and all(
        side >> (levels + 1) >= wanted
        for side, wanted in zip((head.height, head.width), smallest, strict=True)
    ):
        levels += 1
    return levels


def _unpacked(values: Values, dataset: Dataset) -> Values:
    """What a decoder that knows neither sign nor size gave."""
    shape = (dataset.Rows, dataset.Columns) + ((3,) if _samples(dataset) == 3 else ())
    if values.size != np.prod(shape) or (values.ndim > 1 and values.shape != shape):
        raise FilmError(_OTHER_SIZE)
    values = values.reshape(shape)
    if _is_signed(dataset) and values.ndim == 2:
        return _sign_extended(values.astype(np.int32), int(dataset.BitsStored))
    return values


def _within_bits(values: Values, dataset: Dataset, may_mask: bool) -> StoredValues:
    """The values, without what lies in unused bits where a syntax may have something there (overlays)."""
    bits, is_signed = int(dataset.BitsStored), _is_signed(dataset)
    lowest = -(1 << (bits - 1)) if is_signed else 0
    least, largest = int(values.min()), int(values.max())
    if lowest <= least and largest < lowest + (1 << bits):
        return StoredValues(values, least, largest)
    if not may_mask:
        raise FilmError(f"has DICOM pixels beyond the {bits} bits that its header says; correct that")
    masked = values.astype(np.int32) & ((1 << bits) - 1)
    masked = _sign_extended(masked, bits) if is_signed else masked
    return StoredValues(masked, int(masked.min()), int(masked.max()))


def _sign_extended(values: npt.NDArray[np.int32], bits: int) -> npt.NDArray[np.int32]:
    """Samples of so many bits, of which the highest is the sign."""
    sign = np.int32(1 << (bits - 1))
    return ((values & np.int32((1 << bits) - 1)) ^ sign) - sign


def _only_frame(data: memoryview) -> bytes:
    """All items but the first, which is the offset table: of one frame they are one picture (PS3.5, A.4).

    Where a table says that the frame begins doesn't matter. Items are followed by their lengths: the bytes of
    a delimiter may be among those of a picture.
    """
    items, place = list[memoryview](), 0
    while place + 8 <= len(data):
        tag, length = struct.unpack_from("<LL", data, place)
        if tag == _DELIMITER:
            break
        if tag != _ITEM or place + 8 + length > len(data) or len(items) == _MOST_ITEMS:
            raise FilmError("has compressed DICOM pixels that are cut off or damaged; fetch the file again")
        items.append(data[place + 8 : place + 8 + length])
        place += 8 + length
    return b"".join(items[1:])


def _check_head(head: Codestream, dataset: Dataset) -> None:
    """Raise FilmError when a compressed picture is another one than the header says."""
    if (head.height, head.width) != (dataset.Rows, dataset.Columns):
        raise FilmError(_OTHER_SIZE)
    if head.components != _samples(dataset):
        raise FilmError(
            f"has compressed DICOM pixels of {head.components} samples each, but its header says "
            f"{_samples(dataset)}; correct it, or fetch the file again"
        )
    if head.bits > int(dataset.BitsAllocated):
        raise FilmError(
            f"has compressed DICOM pixels of {head.bits} bits, but its header has room for "
            f"{int(dataset.BitsAllocated)}; correct it, or fetch the file again"
        )


def _imagecodecs() -> Any:
    try:
        import imagecodecs
    except ModuleNotFoundError:
        raise MissingExtraError("reading this compression of DICOM", "dicom") from None
    return imagecodecs


def _lies_between(smallest: int, side: int, whole: int) -> bool:
    return min(smallest, whole) <= side <= whole


def _samples(dataset: Dataset) -> int:
    return int(dataset.get("SamplesPerPixel", 1))


def _is_signed(dataset: Dataset) -> bool:
    return bool(int(dataset.get("PixelRepresentation", 0)))
