"""One film in DICOM of every kind that the page for browsers reads."""

from __future__ import annotations

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from support.compressed import jpeg, jpeg_2000
from support.dicom_file import dicom, encapsulated, lut, written


def drawn_dicoms(grey: NDArray[np.uint8]) -> dict[str, bytes]:
    """Files by the name of their kind, of a film uint8 [h, w]."""
    twelve = grey.astype(np.uint16) * 16
    sixteen = grey.astype(np.uint16) * 257
    signed = (twelve.astype(np.int32) - 2048).astype(np.int16)
    window: dict[str, Any] = {"WindowCenter": 2000, "WindowWidth": 3200}
    curve = [min(4095, round((value / 4095) ** 0.8 * 4095)) for value in range(4096)]
    datasets = {
        "8-bits": dicom(grey),
        "12-bits": dicom(twelve, bits=12),
        "12-bits-of-16": dicom(twelve, bits=16),
        "16-bits": dicom(sixteen, bits=16),
        "signed": dicom(signed, bits=12, WindowCenter=0, WindowWidth=3000),
        "monochrome1": dicom(4095 - twelve, bits=12, PhotometricInterpretation="MONOCHROME1", **window),
        "inverse": dicom(4095 - twelve, bits=12, PresentationLUTShape="INVERSE"),
        "rescaled": dicom(
            twelve,
            bits=12,
            RescaleSlope="1.5",
            RescaleIntercept="-20.25",
            WindowCenter="3000\\7",
            WindowWidth="5000\\9",
        ),
        **{
            f"window-{kind.lower()}": dicom(twelve, bits=12, VOILUTFunction=kind, **window)
            for kind in ("LINEAR", "LINEAR_EXACT", "SIGMOID")
        },
        "window-lut": dicom(twelve, bits=12, VOILUTSequence=[lut(curve, 0, 12)]),
        "modality-lut": dicom(twelve, bits=12, ModalityLUTSequence=[lut(curve, 0, 12)]),
        "padding": dicom(twelve, bits=12, PixelPaddingValue=0, **window),
    }
    for name, syntax in (
        ("implicit", ImplicitVRLittleEndian),
        ("deflated", DeflatedExplicitVRLittleEndian),
    ):
        datasets[name] = dicom(twelve, bits=12, syntax=syntax, **window)
    big = dicom(twelve.astype(">u2"), bits=12, **window)
    big.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    datasets["big-endian"] = big
    rle = dicom(twelve, bits=12, **window)
    rle.compress(RLELossless)
    datasets["rle"] = rle
    return {
        **{name: written(dataset) for name, dataset in datasets.items()},
        "jpeg-baseline": encapsulated(jpeg(grey, quality=90), grey, JPEGBaseline8Bit),
        "jpeg-lossless-8-bits": encapsulated(imagecodecs.ljpeg_encode(grey), grey, JPEGLosslessSV1),
        "jpeg-lossless": encapsulated(
            imagecodecs.ljpeg_encode(twelve, bitspersample=12), twelve, JPEGLosslessSV1, bits=12, **window
        ),
        "jpeg-ls-8-bits": encapsulated(imagecodecs.jpegls_encode(grey), grey, JPEGLSLossless),
        "jpeg-ls": encapsulated(imagecodecs.jpegls_encode(sixteen), sixteen, JPEGLSLossless, bits=16),
        "jpeg-2000-8-bits": encapsulated(jpeg_2000(grey), grey, JPEG2000Lossless),
        "jpeg-2000": encapsulated(
            imagecodecs.jpeg2k_encode(twelve, level=0, reversible=True, codecformat="j2k", bitspersample=12),
            twelve,
            JPEG2000Lossless,
            bits=12,
            **window,
        ),
    }
