"""The image files of a collection, found by image id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxrscribe.errors import InputError

IMAGES_FOLDER: Final = "images"
IMAGE_ENDING: Final = ".png"


@dataclass(frozen=True)
class ImageFolders:
    """PNG files in one or more folders, by image id; where two have the same, the earlier folder's counts."""

    folders: tuple[Path, ...]
    files: dict[str, Path]

    def path(self, image_id: str, corpus: Path) -> str:
        """The file as `image_path` of `reports.csv` in the folder `corpus`; empty where it is missing."""
        file = self.files.get(image_id)
        if file is None:
            return ""
        file, corpus = file.resolve(), corpus.resolve()
        return (file.relative_to(corpus) if file.is_relative_to(corpus) else file).as_posix()


def find_images(base: Path, images: Path | None) -> ImageFolders:
    """List the PNG files in `images`, or, where it is None, in `base` and `base/images`.

    Raises InputError when `images` is given and is no folder.
    """
    if images is not None and not images.is_dir():
        raise InputError(
            f"image folder {images} is no folder; give the one that holds <image id>{IMAGE_ENDING} files"
        )
    candidates: Sequence[Path] = (images,) if images is not None else (base, base / IMAGES_FOLDER)
    folders = tuple(folder for folder in candidates if folder.is_dir())
    files: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() == IMAGE_ENDING and path.is_file():
                files.setdefault(path.stem, path)
    return ImageFolders(folders, files)
