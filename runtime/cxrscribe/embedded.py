"""The bundle and the films that come with the package: a model of drawings, for trying things out."""

from __future__ import annotations

from pathlib import Path

from cxrscribe.errors import BundleError, InputError

# Not by importlib.resources, which brings a megabyte for packages in archives: this one never is in one.
_PACKAGE = Path(__file__).parent
_REMEDY = "install cxrscribe from its wheel, unpacked"


def demo_bundle() -> Path:
    """Folder of a small bundle that was trained on drawings. It knows nothing about patients.

    Raises BundleError when this installation doesn't have it.
    """
    folder = _folder("bundle")
    if not folder.is_dir():
        raise BundleError(f"the demo bundle is not at {folder}; {_REMEDY}")
    return folder


def demo_films() -> list[Path]:
    """PNG files of the sample films, which are drawings, by name.

    Raises InputError when this installation doesn't have them.
    """
    films = sorted(_folder("films").glob("*.png"))
    if not films:
        raise InputError(f"there are no sample films at {_folder('films')}; {_REMEDY}")
    return films


def _folder(name: str) -> Path:
    return _PACKAGE / "demo" / name
