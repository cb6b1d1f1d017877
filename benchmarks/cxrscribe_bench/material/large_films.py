"""Films as large as detectors give them, in the formats in which they are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cxrscribe_bench.material.drawn_films import drawn_film

SIDES: Final = (2500, 2048)
"""Height and width of a film as detectors give it."""
WINDOW: Final = (2000, 3600)
"""Centre and width of the window of DICOM films of 12 bits."""

Film: TypeAlias = npt.NDArray[np.uint16]
Writer: TypeAlias = Callable[[Film], bytes]

_WINDOW_8: Final = (128, 256)
_EXPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
_RLE: Final = "1.2.840.10008.1.2.5"


def large_film(number: int) -> Film:
    """A phantom's film, uint16 of 12 bits [2500, 2048], with a detector's noise."""
    from PIL import Image

    enlarged = Image.fromarray(drawn_film(number)).resize(SIDES[::-1], Image.Resampling.BICUBIC)
    noise = np.random.default_rng(number).normal(0, 12, SIDES)
    return np.clip(np.asarray(enlarged) / 255 * 3500 + 200 + noise, 0, 4095).astype(np.uint16)


def write_large_films(count: int, format_name: str, folder: Path) -> tuple[Path, ...]:
    """Files of so many films in a format of FORMATS; those that are there already are kept.

    Raises ImportError where what writes it isn't installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem = format_name.lower().replace(",", "").replace(" ", "-")
    paths = tuple(folder / f"{stem}-{number:04}" for number in range(count))
    for number, path in enumerate(paths):
        if not path.exists():
            unfinished = path.with_suffix(".part")
            unfinished.write_bytes(FORMATS[format_name](large_film(number)))
            unfinished.replace(path)
    return paths


def _eight_bits(film: Film) -> npt.NDArray[np.uint8]:
    return (film >> 4).astype(np.uint8)


def _png(pixels: npt.NDArray[Any]) -> bytes:
    from PIL import Image

    content = BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _jpeg(film: Film) -> bytes:
    from PIL import Image

    content = BytesIO()
    Image.fromarray(_eight_bits(film)).save(content, "JPEG", quality=90)
    return content.getvalue()


def _jpeg_lossless(film: Film) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(film, lossless=True, predictor=1, bitspersample=12))


def _jpeg_ls(film: Film) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(film))


def _jpeg_2000(film: Film) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg2k_encode(film, codecformat="j2k", bitspersample=12))


def _encapsulated(syntax: str, encode: Writer, film: Film) -> bytes:
    """DICOM of 12 bits whose one frame is what `encode` makes of the film."""
    return _dicom(film, syntax, encode(film))


def _dicom(pixels: npt.NDArray[Any], syntax: str, frame: bytes | None = None) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax if frame is not None else _EXPLICIT_LITTLE_ENDIAN
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "DX"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = 8 if pixels.itemsize == 1 else 12
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * pixels.itemsize, bits, bits - 1
    dataset.PixelRepresentation = 0
    if bits == 12:
        dataset.WindowCenter, dataset.WindowWidth = WINDOW
    elif frame is not None:
        dataset.WindowCenter, dataset.WindowWidth = _WINDOW_8
    dataset.add_new("PixelData", "OW", pixels.tobytes() if frame is None else encapsulate([frame]))
    if frame is None and syntax == _RLE:
        dataset.compress(syntax, generate_instance_uid=False)
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return content.getvalue()


FORMATS: Final[Mapping[str, Writer]] = {
    "PNG, 8 bits": lambda film: _png(_eight_bits(film)),
    "PNG, 16 bits": _png,
    "JPEG": _jpeg,
    "DICOM raw, 8 bits": lambda film: _dicom(_eight_bits(film), _EXPLICIT_LITTLE_ENDIAN),
    "DICOM raw, 12 bits": lambda film: _dicom(film, _EXPLICIT_LITTLE_ENDIAN),
    "DICOM JPEG": lambda film: _dicom(_eight_bits(film), "1.2.840.10008.1.2.4.50", _jpeg(film)),
    "DICOM JPEG lossless": partial(_encapsulated, "1.2.840.10008.1.2.4.70", _jpeg_lossless),
    "DICOM JPEG-LS": partial(_encapsulated, "1.2.840.10008.1.2.4.80", _jpeg_ls),
    "DICOM JPEG 2000": partial(_encapsulated, "1.2.840.10008.1.2.4.90", _jpeg_2000),
    "DICOM RLE": lambda film: _dicom(film, _RLE),
}
"""What writes a film's file, by the name of its format. Those of DICOM need pydicom and imagecodecs."""
