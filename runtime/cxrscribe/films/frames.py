"""The stored values of a DICOM film: its one frame, unpacked by the decoder of its transfer syntax.

docs/films.md has a table of the decoders. Most of them are imagecodecs' and Pillow's.
"""

from __future__ import annotations

import struct
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, MissingExtraError, Reason
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
_GDCM_BITS: Final = 16
_END_OF_JPEG: Final = b"\xff\xd9"
_PADDING: Final = 16  # bytes that may follow it
_YBR: Final = ("YBR_FULL", "YBR_FULL_422")

_SEVERAL_SAMPLES: Final = (
    "has compressed DICOM pixels of several samples each, but its header says 1; fetch the file again"
)
_OTHER_SIZE: Final = "has DICOM pixels of another size than its header says; fetch the file again"


class PixelData(NamedTuple):
    """The element of a file that has its pixels."""

    kind: str
    """Its VR: `OB` or `OW`."""
    value: memoryview
    """As it lies in the file; everything up to the file's end where it says no length."""
    is_delimited: bool
    """Whether it consists of items up to a delimiter, as what is compressed does."""


class StoredValues(NamedTuple):
    """The samples of a frame."""

    values: Values
    """Integers [h, w] within BitsStored; or uint8 [h, w, 3], RGB."""
    least: int
    largest: int
    resolution: Resolution | None = None
    """As of `Picture`."""


def stored_values(dataset: Dataset, data: PixelData, smallest: tuple[int, int] | None = None) -> StoredValues:
    """The frame of a film, whose header is `dataset`, as it is stored.

    `smallest` (height, width): what can be decoded at a reduced size may be, not below this on either side.
    Raises FilmError when the frame can't be decoded, or is another picture than the header says.
    """
    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        if syntax in NATIVE_SYNTAXES:
            values, levels = _native(dataset, data, syntax), 0
        else:
            values, levels = _compressed(dataset, data, syntax, smallest)
    except (FilmError, MissingExtraError, MemoryError):
        raise
    except Exception as error:
        transfer = getattr(dataset.file_meta.get("TransferSyntaxUID", "unknown"), "name", "unknown")
        raise FilmError(
            f"has DICOM pixels that can't be decoded (transfer syntax {transfer!r}, {type(error).__name__}); "
            "the file is damaged or truncated, or its compression is not supported",
        ) from None
    whole = (dataset.Rows, dataset.Columns)
    if values.ndim not in (2, 3) or not all(map(_lies_between, smallest or whole, values.shape, whole)):
        raise FilmError(_OTHER_SIZE)
    if values.ndim == 3:
        return StoredValues(values, 0, 255)
    stored = _within_bits(values, dataset, syntax in (*NATIVE_SYNTAXES, _RLE))
    return stored._replace(resolution=Resolution(*whole, 1 << levels)) if levels else stored


def _native(dataset: Dataset, data: PixelData, syntax: str) -> Values:
    """Pixels that aren't compressed, where they lie in the file's bytes."""
    if data.is_delimited:
        raise FilmError("has DICOM pixels in items, as only compressed ones are; fetch the file again")
    bits = int(dataset.BitsAllocated)
    # The order of single bytes in words of two depends on more than the syntax.
    if bits not in (8, 16) or _samples(dataset) != 1 or (syntax == _BIG_ENDIAN and bits == 8):
        return _by_pydicom(dataset, data.kind, bytes(data.value), "")
    kind = np.dtype(
        f"{'>' if syntax == _BIG_ENDIAN else '<'}{'i' if _is_signed(dataset) else 'u'}{bits // 8}"
    )
    return np.frombuffer(data.value, kind, dataset.Rows * dataset.Columns).reshape(
        dataset.Rows, dataset.Columns
    )


def _compressed(
    dataset: Dataset, data: PixelData, syntax: str, smallest: tuple[int, int] | None
) -> tuple[Values, int]:
    """The values, and how many levels of JPEG 2000 were left out."""
    from pydicom.encaps import encapsulate

    frame = _only_frame(data.value)
    if syntax == _RLE:
        if _samples(dataset) == 1 and int(dataset.BitsAllocated) in (8, 16):
            return _unpacked(_run_lengths(frame, dataset), dataset), 0
        return _by_pydicom(dataset, "OB", encapsulate([frame], has_bot=False), "pydicom"), 0
    head = read_codestream(frame)
    if head is None:
        raise FilmError("has compressed DICOM pixels that can't be understood; fetch the file again")
    _check_head(head, dataset)
    is_grey = _samples(dataset) == 1
    if syntax in _JPEG_2000:
        if is_grey:
            return _jpeg_2000(frame, head, dataset, smallest)
        return _unpacked(_imagecodecs().jpeg2k_decode(memoryview(frame)[head.start :]), dataset), 0
    if syntax in _JPEG_LS:
        return _unpacked(_imagecodecs().jpegls_decode(frame), dataset), 0
    if syntax in _JPEG_LOSSLESS or (syntax in _JPEG and head.bits == 12):
        if _END_OF_JPEG not in frame[-_PADDING:]:  # the decoder makes up what is missing
            raise FilmError("has DICOM pixels that are cut off; fetch the file again", Reason.TRUNCATED)
        return _unpacked(_imagecodecs().jpeg8_decode(frame), dataset), 0
    if syntax in _JPEG and head.bits != 8:
        if head.bits != _GDCM_BITS:  # of others GDCM throws where nobody can catch it
            raise FilmError(
                f"has JPEG pixels of {head.bits} bits, where the standard allows 8 and 12; fetch the file "
                "again"
            )
        return _by_gdcm(dataset, frame), 0
    if syntax in _JPEG and is_grey:
        return _jpeg(frame, dataset, smallest), 0
    # Without an offset table: there is one frame, wherever a table says that it begins.
    return _by_pydicom(dataset, "OB", encapsulate([frame], has_bot=False), "pillow"), 0


def _run_lengths(frame: bytes, dataset: Dataset) -> Values:
    """Samples of one or two bytes, of which each segment has one, the highest first (PS3.5, annex G)."""
    count, pixels = int(dataset.BitsAllocated) // 8, dataset.Rows * dataset.Columns
    segments, *starts = struct.unpack_from("<16L", frame)
    if segments != count or not 64 <= starts[0] <= starts[count - 1] <= len(frame):
        raise FilmError(_OTHER_SIZE)
    samples = np.empty((pixels, count), np.uint8)
    for place, (start, end) in enumerate(pairwise([*starts[:count], len(frame)])):
        unpacked = _imagecodecs().packbits_decode(memoryview(frame)[start:end])
        if len(unpacked) < pixels:
            raise FilmError("has DICOM pixels that are cut off; fetch the file again", Reason.TRUNCATED)
        samples[:, count - 1 - place] = np.frombuffer(unpacked, np.uint8, pixels)
    return samples.view(f"<u{count}").reshape(-1)


def _by_pydicom(dataset: Dataset, kind: str, data: bytes, decoder: str) -> Values:
    from pydicom.pixels import pixel_array

    dataset.add_new("PixelData", kind, data)  # in some syntaxes the order of bytes hangs on the kind
    values: Values = pixel_array(dataset, decoding_plugin=decoder)
    return values


def _by_gdcm(dataset: Dataset, frame: bytes) -> Values:
    """Pixels of JPEG of `_GDCM_BITS`: the standard has 8 and 12, GDCM writes these too.

    GDCM reads them out of a file, which has what is read here of a film, and nothing of a patient.
    """
    from pydicom.encaps import encapsulate

    try:
        import gdcm
    except ModuleNotFoundError:
        raise FilmError(
            f"has JPEG pixels of {_GDCM_BITS} bits, where the standard allows 8 and 12; only GDCM reads "
            "them: install python-gdcm",
            Reason.UNSUPPORTED,
        ) from None
    dataset.add_new("PixelData", "OB", encapsulate([frame], has_bot=False))
    dataset["PixelData"].is_undefined_length = True
    from tempfile import TemporaryDirectory

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
        if image.size != (dataset.Columns, dataset.Rows):
            raise FilmError(_OTHER_SIZE)
        if _is_signed(dataset):  # neighbours of 127 and -128 have no average
            return _sign_extended(np.array(image, np.int32), 8)
        if smallest is not None:
            image.draft("L", (min(smallest[1], image.width), min(smallest[0], image.height)))
        return np.array(image)


def _jpeg_2000(
    frame: bytes, head: Codestream, dataset: Dataset, smallest: tuple[int, int] | None
) -> tuple[Values, int]:
    """Samples of grey JPEG 2000 at one of its resolutions, and which: how many levels are left out."""
    levels = 0
    means_the_same = head.bits == int(dataset.BitsStored) and head.is_signed == _is_signed(dataset)
    if smallest is not None and means_the_same and head.is_at_origin:
        levels = _levels_to_spare(head, smallest)
    values = _by_openjpeg(frame[head.start :], head, levels)  # without boxes, which Pillow would follow
    # Pillow shifts samples up to 8 or 16 bits, and what is signed up to begin at 0.
    room = 8 * values.dtype.itemsize
    if head.bits > room:
        raise FilmError(f"has JPEG 2000 pixels of {head.bits} bits, and 1 to 16 are read", Reason.UNSUPPORTED)
    samples = (values >> (room - head.bits)).astype(np.int32)
    if head.is_signed:
        samples -= 1 << (head.bits - 1)
    if head.is_signed and not _is_signed(dataset):  # then its bits mean what the header says
        samples &= (1 << head.bits) - 1
    elif _is_signed(dataset) and not head.is_signed:
        samples = _sign_extended(samples, head.bits)
    return samples, levels


def _by_openjpeg(frame: bytes, head: Codestream, levels: int) -> npt.NDArray[Any]:
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    with Jpeg2KImageFile(BytesIO(frame)) as image:
        if image.mode not in ("L", "I;16"):
            raise FilmError(_SEVERAL_SAMPLES)
        if image.size != (head.width, head.height):
            raise FilmError(_OTHER_SIZE)
        if levels:
            image.reduce = levels
            # Resolutions are as large as the half, rounded up (ISO/IEC 15444-1, B-15). Pillow rounds to the
            # nearest, and refuses the picture where that is another size: so it gets one that it divides.
            whole = tuple(-(-side >> levels) << levels for side in image.size)
            image._size = (whole[0], whole[1])
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
    if values.ndim == 3:
        from pydicom.pixels import convert_color_space

        photometric = str(dataset.PhotometricInterpretation)
        return convert_color_space(values, photometric, "RGB") if photometric in _YBR else values
    if _is_signed(dataset):
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
            raise FilmError(
                "has compressed DICOM pixels that are cut off or damaged; fetch the file again",
                Reason.TRUNCATED,
            )
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
