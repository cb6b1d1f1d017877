"""Films to damage: drawn ones, in every encoding that can be written here."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
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
    for name, gdcm_syntax in (("jpeg lossless", JPEGLosslessSV1), ("jpeg-ls", JPEGLSLossless)):
        yield name, _by_gdcm(written(dicom(deep, 12)), gdcm_syntax)


def _by_gdcm(content: bytes, syntax: str) -> bytes:
    """The raw film compressed as only GDCM can."""
    import gdcm

    kinds = {
        JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
        JPEGLSLossless: gdcm.TransferSyntax.JPEGLSLossless,
        ExplicitVRLittleEndian: gdcm.TransferSyntax.ExplicitVRLittleEndian,
    }
    with tempfile.TemporaryDirectory() as folder:
        raw, packed = Path(folder) / "raw.dcm", Path(folder) / "packed.dcm"
        raw.write_bytes(content)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(raw))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(kinds[syntax]))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(packed))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return packed.read_bytes()


def _saved(image: Image.Image, kind: str, **options: bool) -> bytes:
    content = BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()
