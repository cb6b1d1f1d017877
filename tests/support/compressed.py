"""Pictures compressed as they lie in DICOM files."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    """Baseline JPEG."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", **options)
    return content.getvalue()


def jpeg_2000(pixels: np.ndarray, **options: Any) -> bytes:
    """Lossless JPEG 2000, the codestream alone unless `no_jp2=False`."""
    content = BytesIO()
    Image.fromarray(pixels).save(content, "JPEG2000", **{"no_jp2": True, **options})
    return content.getvalue()
