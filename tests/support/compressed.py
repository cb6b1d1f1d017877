"""Pictures compressed as they lie in DICOM files."""

from __future__ import annotations

import struct
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


def lossless_jpeg(pixels: np.ndarray, restart_rows: int) -> bytes:
    """Lossless JPEG (T.81, annex H, predictor 1) with restarts so many rows apart."""
    height, width = pixels.shape
    numbers = bytes(range(17))  # of bits, which 5 bits each say
    head = b"\xff\xd8\xff\xc4" + struct.pack(">HB", 36, 0) + bytes((0, 0, 0, 0, 17, *[0] * 11)) + numbers
    head += b"\xff\xc3" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    head += b"\xff\xdd" + struct.pack(">HH", 4, restart_rows * width)
    head += b"\xff\xda" + struct.pack(">H", 8) + bytes((1, 1, 0, 1, 0, 0))
    intervals = []
    for top in range(0, height, restart_rows):
        rows = pixels[top : top + restart_rows].astype(int)
        before = np.empty_like(rows)
        before[:, 1:], before[1:, 0], before[0, 0] = rows[:, :-1], rows[:-1, 0], 128
        bits = ""
        for difference in (rows - before).ravel().tolist():
            count = abs(difference).bit_length()
            code = difference if difference > 0 else difference + (1 << count) - 1
            bits += f"{count:05b}" + (f"{code:0{count}b}" if count else "")
        bits += "1" * (-len(bits) % 8)
        intervals.append(int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0"))
    markers = [b"", *(bytes((0xFF, 0xD0 + place % 8)) for place in range(len(intervals) - 1))]
    return head + b"".join(map(bytes.__add__, markers, intervals)) + b"\xff\xd9"
