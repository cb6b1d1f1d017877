"""Small films for archives, each with another content, and archives of them."""

from __future__ import annotations

import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def small_film(number: int) -> bytes:
    """A PNG of 48 x 40 pixels that shows something; another one for each number."""
    random = np.random.default_rng(number)
    rows, columns = np.mgrid[0:48, 0:40]
    pixels = 128 + 60 * np.sin(rows / random.uniform(4, 12)) + 50 * np.cos(columns / random.uniform(3, 9))
    content = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def write_films(folder: Path, count: int) -> Path:
    """`count` films in folders of ten each; gives `folder`."""
    for number in range(count):
        path = folder / f"{number // 10:03}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(small_film(number))
    return folder


def write_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """A tar, compressed with mode `w:gz`, of these members."""
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return path


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path
