"""Films to damage: drawn ones, in every encoding that can be written here."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from support.compressed import jpeg, jpeg_2000
from support.dicom_file import dicom, lut, written

SIDE = 64


def drawn() -> np.ndarray:
    """A picture uint8 [h, w] with something to see."""
    rows, columns = np.mgrid[: SIDE + 8, :SIDE]
    waves = 110 + 80 * np.sin(rows / 9) * np.cos(columns / 7)
    noise = np.random.default_rng(0).integers(0, 16, waves.shape)
    return (waves + noise).astype(np.uint8)


def seeds() -> dict[str, bytes]:
    """Whole films by the name of their encoding."""
    return dict([*_pictures(), *_dicom_files()])


def _pictures() -> Iterator[tuple[str, bytes]]:
    grey = drawn()
    colours = np.stack((grey, grey[::-1], grey), axis=2)
    deep = grey.astype(np.uint16) * 257
    for name, pixels, options in (
        ("png 8", grey, {}),
        ("png 16", deep, {}),
        ("png colour", colours, {"optimize": True}),
    ):
        yield name, _saved(Image.fromarray(pixels), "PNG", **options)
    yield "png palette", _saved(Image.fromarray(colours).quantize(32), "PNG")
    yield "png alpha", _saved(Image.merge("LA", [Image.fromarray(grey)] * 2), "PNG")
    yield "jpeg", jpeg(grey)
    yield "jpeg progressive", jpeg(colours, progressive=True)


def _dicom_files() -> Iterator[tuple[str, bytes]]:
    grey = drawn()
    deep = grey.astype(np.uint16) * 16
    yield "raw 8", written(dicom(grey))
    yield "raw 12, window", written(dicom(deep, 12, WindowCenter=2000, WindowWidth=3000))
    yield "raw 16, implicit", written(dicom(deep, 16, ImplicitVRLittleEndian, PixelPaddingValue=0))
    yield "raw signed", written(dicom(deep.astype(np.int16) - 2048, 16, RescaleSlope=1, RescaleIntercept=-9))
    yield "raw, LUT", written(dicom(deep, 12, VOILUTSequence=[lut(list(range(0, 4096, 4)), 900, 12)]))
    swapped = BytesIO()
    dicom(deep.astype(">u2"), 12, ExplicitVRBigEndian).save_as(swapped, enforce_file_format=True)
    yield "raw big endian", swapped.getvalue()
    packed = dicom(deep, 12)
    packed.compress(RLELossless)
    yield "rle", written(packed)
    for name, syntax, frame in (
        ("jpeg in dicom", JPEGBaseline8Bit, jpeg(grey)),
        ("jpeg 2000", JPEG2000Lossless, jpeg_2000(grey)),
        ("jpeg 2000, boxes", JPEG2000Lossless, jpeg_2000(grey, no_jp2=False)),
    ):
        dataset = dicom(grey, syntax=syntax)
        dataset.PixelData = encapsulate([frame])
        yield name, written(dataset)
    for name, syntax, frame in (
        ("jpeg lossless", JPEGLosslessSV1, imagecodecs.jpeg8_encode(deep, lossless=True, bitspersample=12)),
        ("jpeg of 12 bits", JPEGExtended12Bit, imagecodecs.jpeg8_encode(deep, level=95, bitspersample=12)),
        ("jpeg-ls", JPEGLSLossless, imagecodecs.jpegls_encode(deep)),
        (
            "jpeg 2000 of 12 bits",
            JPEG2000,
            imagecodecs.jpeg2k_encode(deep, codecformat="j2k", bitspersample=12),
        ),
    ):
        dataset = dicom(deep, 12, syntax)
        dataset.PixelData = encapsulate([bytes(frame)])
        yield name, written(dataset)
    yield "deflated", written(dicom(deep, 12, DeflatedExplicitVRLittleEndian))
    colours = {
        f"{name}PaletteColorLookupTable{part}": value
        for name in ("Red", "Green", "Blue")
        for part, value in (("Descriptor", [256, 0, 16]), ("Data", np.arange(0, 65536, 256, "<u2").tobytes()))
    }
    yield "palette", written(dicom(grey, PhotometricInterpretation="PALETTE COLOR", **colours))


def _saved(image: Image.Image, kind: str, **options: bool) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()
