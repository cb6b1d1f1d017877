"""Reading one film, from whatever it comes in, as grey pixels.

PNG, JPEG and DICOM are read; everything else is refused by name. Black is 0 and white is 255. Of 16-bit grey,
`PngRange` says what is black and white; of 16-bit colour and grey with alpha Pillow gives the high byte.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from cxrscribe.errors import FilmError, MissingExtraError, Reason
from cxrscribe.films import png
from cxrscribe.films.codestream import read_codestream
from cxrscribe.films.dicom import is_dicom, read_dicom
from cxrscribe.films.levels import Picture, show_16_bit
from cxrscribe.films.limits import MOST_BYTES, check_size, room_for
from cxrscribe.films.quiet import quiet_libraries
from cxrscribe.films.rules import FilmRules

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

Pixels: TypeAlias = npt.NDArray[np.uint8]
FilmSource: TypeAlias = Union[
    str, "os.PathLike[str]", bytes, bytearray, memoryview, "Image.Image", npt.NDArray[np.uint8 | np.uint16]
]

# What a folder is searched for.
FILM_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".dcm", ".dicom")

_PNG_DEPTH: Final = 24  # place of the bit depth: the header comes first (PNG specification, 11.2.1)
_JPEG: Final = b"\xff\xd8\xff"
_JPEG_SCAN: Final = b"\xff\xda"
_MOST_SCANS: Final = 100  # a progressive JPEG has about ten
_ACCEPTED: Final = "PNG, JPEG and DICOM are read: convert it to one of them"
_REFUSED_FORMATS: Final = (
    (b"II*\x00", "a TIFF file"),
    (b"MM\x00*", "a TIFF file"),
    (b"GIF8", "a GIF file"),
    (b"RIFF", "a WebP or other RIFF file"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 file outside DICOM"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream outside DICOM"),
    (b"%PDF", "a PDF file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
)
_SHORT_SIGNATURES: Final = {b"BM": "a BMP file", b"P5": "a PGM file"}
# The field `magic` of the headers of NIfTI-1 and NIfTI-2; "i" where the pixels are in another file.
_NIFTI: Final = ((344, b"n+1\0"), (344, b"ni1\0"), (4, b"n+2\0"), (4, b"ni2\0"))

# EXIF tag 274 says which corner of the stored pixels is the top left one (EXIF 2.3, table 4).
_ORIENTATION_TAG: Final = 274
_OWN_FOLDERS: Final = ("/dev/", "/proc/")
_AS_STORED: Final = "as stored"
_STRIP: Final = 1 << 16  # samples
_SNIFFED_BYTES: Final = 132
_FIRST_BYTES: Final = 4096  # with the file meta information of DICOM, as a rule
_UPRIGHT: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1, :],
    5: lambda pixels: pixels.T,
    6: lambda pixels: pixels[::-1, :].T,
    7: lambda pixels: pixels[::-1, ::-1].T,
    8: lambda pixels: pixels[:, ::-1].T,
}


def read_film(
    source: FilmSource, size_hint: tuple[int, int] | None = None, rules: FilmRules | None = None
) -> Pixels:
    """Read a film as grey pixels uint8 [h, w].

    `source` is a path, the bytes of a file, a PIL image, or an array uint8 [h, w], uint8 [h, w, 3] (RGB) or
    uint16 [h, w]. `size_hint` (height, width): JPEG and JPEG 2000 may be decoded at a reduced size, never
    below the hint on either side. `rules`: what files are films and how they are shown. Colour becomes luma
    (ITU-R 601), transparency is laid over black, EXIF orientation is honoured.

    Raises FilmError, which names the file, when the film is missing, damaged, of another format, of a side
    under 16 or over 20,000 pixels, or of more than 100 megapixels. Sizes are checked before pixels are
    decoded.
    """
    with naming(source):
        pixels = decode(open_source(source), size_hint, rules).pixels
        return pixels if pixels.flags.writeable else pixels.copy()  # the file's bytes may go


@contextmanager
def naming(source: FilmSource) -> Iterator[None]:
    """Let whatever goes wrong with a film be a FilmError that names it."""
    try:
        yield
    except FilmError as error:
        raise FilmError(f"{film_name(source)}: {error}", error.reason) from error
    except MissingExtraError as error:
        raise FilmError(f"{film_name(source)}: {error}", Reason.UNSUPPORTED) from error
    except MemoryError:
        raise FilmError(
            f"{film_name(source)}: does not fit in memory; reduce it first", Reason.TOO_LARGE
        ) from None
    except Exception as error:
        raise FilmError(
            f"{film_name(source)}: can't be read ({type(error).__name__}: {error}); fetch it again"
        ) from error


def looks_like_film(path: str, head: Callable[[], bytes] | None = None) -> bool:
    """Whether a file of a folder is taken for a film: by its suffix, or, without one, by how it begins.

    DICOM from CDs and archives has no suffix, or the last number of a UID in its place. Their directory,
    DICOMDIR, is no film. `head`: what gives its first bytes, where there is no such file but something else
    of that name.
    """
    name = os.path.basename(path)  # noqa: PTH119 (of each file of an archive)
    if not name or name.startswith(".") or name.upper() == "DICOMDIR":
        return False
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    if suffix and not suffix[1:].isdigit():
        return suffix in FILM_SUFFIXES
    return is_dicom(head() if head is not None else _first_bytes(path))


def _first_bytes(path: str) -> bytes:
    """Of a file; none where it isn't one that can be read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (opening a pipe would wait)
            return b""
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(_SNIFFED_BYTES)
    except OSError:
        return b""


def film_name(source: FilmSource) -> str:
    """What errors call a film: its path, or what it came in."""
    with suppress(Exception):  # a path of bytes, a view that was released, whatever a caller's class raises
        if isinstance(source, str | os.PathLike):
            return str(Path(source))
        if isinstance(source, bytes | bytearray | memoryview):
            return f"film of {memoryview(source).nbytes} bytes"
    return "film array" if isinstance(source, np.ndarray) else f"film of type {type(source).__name__}"


def open_source(source: FilmSource, leave: Callable[[bytes], bool] | None = None) -> FilmSource:
    """The bytes of a file, whatever says which; an array or a PIL image as it is.

    `leave`: whether a file that begins like this is left for another process to read; then its absolute path
    is returned. Raises FilmError, which doesn't name the film, when the file is missing or can't be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        content = _content(path, leave)
        return path.absolute() if content is None else content
    return source


def decode(
    opened: FilmSource, size_hint: tuple[int, int] | None = None, rules: FilmRules | None = None
) -> Picture:
    """Grey pixels of what `open_source` gave. Raises FilmError, which doesn't name the film."""
    rules = rules if rules is not None else FilmRules()
    with quiet_libraries():
        if isinstance(opened, bytes):
            return _from_bytes(opened, size_hint, rules)
        if isinstance(opened, np.ndarray):
            return _from_array(opened, rules.png_range)
        return _from_image(opened, rules.png_range)


def _content(path: Path, leave: Callable[[bytes], bool] | None) -> bytes | None:
    """The bytes of a regular file of a sane size; none where it is left."""
    try:
        # From Python 3.14 on, `Path.exists` and its like take whatever goes wrong for an absent file.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise FilmError("is a folder; give the films in it")
        if not stat.S_ISREG(status.st_mode):
            raise FilmError("is not a regular file; give a file")
        if status.st_size > MOST_BYTES:
            raise FilmError(
                f"holds {status.st_size:,} bytes, more than any film that is read; reduce it first",
                Reason.TOO_LARGE,
            )
        with path.open("rb") as file:
            start = file.read(_FIRST_BYTES)
            _check_format(start)  # before the rest is read
            # What a number of this process' stands for, it stands for in no other.
            if leave is not None and leave(start) and not str(path.absolute()).startswith(_OWN_FOLDERS):
                return None
            file.seek(0)
            return file.read()
    except FileNotFoundError:
        raise FilmError("file does not exist; check the path", Reason.MISSING) from None
    except OSError as error:
        raise FilmError(
            f"can't be opened ({error.strerror or type(error).__name__}); check its rights"
        ) from None
    except ValueError as error:
        if isinstance(error, FilmError):
            raise
        raise FilmError("is not a possible path; check it") from None


def _check_format(start: bytes) -> None:
    """Raise FilmError when a file that begins like this is none that is read."""
    if not start:
        raise FilmError("is empty; fetch the file again", Reason.TRUNCATED)
    if not (start.startswith((png.SIGNATURE, _JPEG)) or is_dicom(start)):
        raise FilmError(f"is {_format_name(start)}, not a film; {_ACCEPTED}", Reason.NOT_A_RADIOGRAPH)


def _from_bytes(content: bytes, size_hint: tuple[int, int] | None, rules: FilmRules) -> Picture:
    _check_format(content[:_FIRST_BYTES])
    if content.startswith(png.SIGNATURE):
        return _from_png(content, rules)
    if content.startswith(_JPEG):
        from PIL.JpegImagePlugin import JpegImageFile

        _check_scans(content)
        return _from_file(JpegImageFile, content, rules, size_hint)
    return read_dicom(content, size_hint, rules)


def _check_scans(content: bytes) -> None:
    """Raise FilmError when a JPEG has too many scans: each may be a pass over the whole picture."""
    head = read_codestream(content)
    if head is not None and head.components == 1 and not head.is_progressive:
        return  # what comes after the first one is left alone
    if content.count(_JPEG_SCAN) > _MOST_SCANS and (scans := _scans(content)) > _MOST_SCANS:
        raise FilmError(
            f"is a JPEG of {scans} scans, and {_MOST_SCANS} are read; save it anew", Reason.UNSUPPORTED
        )


def _scans(content: bytes) -> int:
    """How many scans a JPEG has: those in what applications add and behind its end aren't counted."""
    scans, place = 0, 2
    while (place := content.find(b"\xff", place)) >= 0 and place + 4 <= len(content):
        marker = content[place + 1]
        if marker == 0xD9:  # end of image
            break
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD7:  # these have no length
            place += 1 if marker == 0xFF else 2
            continue
        scans += marker == 0xDA
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return scans


def _from_png(content: bytes, rules: FilmRules) -> Picture:
    from PIL.PngImagePlugin import PngImageFile

    head = png.read_head(content)
    picture = _from_file(PngImageFile, content, rules)
    # Rows that are missing come out black, and are at the end, of most pictures.
    if head.is_interlaced or head.may_hide_rows or not picture.pixels[-1].any():
        png.check_rows(content, head)
    return picture


def _format_name(start: bytes) -> str:
    """What a file is that is no film, as far as its first bytes tell."""
    for signature, name in _REFUSED_FORMATS:
        if start.startswith(signature):
            return name
    if any(start[place : place + len(magic)] == magic for place, magic in _NIFTI):
        return "a NIfTI file"
    if b"\x00" not in start and all(byte >= 32 or byte in b"\t\r\n\f" for byte in start):
        return "a text file"
    # Two letters say little: texts may start with them too.
    return _SHORT_SIGNATURES.get(start[:2], "of an unknown format")


def _from_file(
    reader: type[ImageFile], content: bytes, rules: FilmRules, size_hint: tuple[int, int] | None = None
) -> Picture:
    """Pixels of a PNG or JPEG file.

    Pillow's readers are used directly: `Image.open` would try every format that it knows, and warn of
    decompression bombs from 89 megapixels on, where the limit here is 100.
    """
    try:
        image = reader(BytesIO(content))
    except Exception as error:
        raise FilmError(f"has a damaged header ({_reason(error)}); fetch the file again") from None
    with closing(image):  # closing gives the memory back at once, leaving does not
        width, height = image.size
        check_size(height, width)
        if getattr(image, "n_frames", 1) > 1:
            raise FilmError(
                "is an animation of several pictures; give one film a file", Reason.SEVERAL_FRAMES
            )
        if image.format == "PNG":
            _scale_transparency(image, content[_PNG_DEPTH])
        if size_hint is not None and image.mode in ("L", "RGB"):
            # Does nothing except for JPEG, whose decoder then gives luma at a reduced size.
            # The longer hint counts for both sides: EXIF may still turn the film by 90 degrees.
            side = max(size_hint)
            image.draft("L", (min(side, width), min(side, height)))
        with room_for(*image.size):
            picture = _from_image(image, rules.png_range)
            image.close()
            return picture


def _scale_transparency(image: ImageFile, depth: int) -> None:
    """Pillow brings samples of `depth` bits to 8, but leaves the one transparent value of a PNG as it is."""
    transparent = image.info.get("transparency")
    if image.mode == "RGB" and depth == 16 and transparent is not None:
        raise FilmError(
            "has 16-bit colours, of which one is transparent; convert it to 8 bits or to grey first",
            Reason.UNSUPPORTED,
        )
    if image.mode == "L" and depth < 8 and isinstance(transparent, int):
        image.info["transparency"] = transparent * 255 // ((1 << depth) - 1)


def _from_image(image: object, png_range: str) -> Picture:
    from PIL import Image

    if not isinstance(image, Image.Image):
        raise FilmError("is none of: path, bytes, PIL image, array; give one of these")
    try:
        check_size(image.height, image.width)
        image.load()
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        picture = _grey(image, png_range)
    except FilmError:
        raise
    except MemoryError:
        raise
    except Exception as error:
        raise FilmError(
            f"is damaged or truncated ({_reason(error)}); fetch the file again", Reason.TRUNCATED
        ) from None
    pixels = picture.pixels
    if orientation in _UPRIGHT:
        pixels = _UPRIGHT[orientation](pixels)
    return picture._replace(pixels=np.ascontiguousarray(pixels))


def _grey(image: Image.Image, png_range: str) -> Picture:
    """Grey pixels of an image of any mode whose range is known."""
    if image.mode == "F":
        raise FilmError(
            "has floating-point pixels, whose range is unknown; scale them to 8 or 16 bit first",
            Reason.UNSUPPORTED,
        )
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _grey_16_bit(image, png_range)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        return Picture(_over_black(image), _AS_STORED)
    return Picture(_samples(image if image.mode == "L" else image.convert("L"), np.uint8), _AS_STORED)


def _grey_16_bit(image: Image.Image, png_range: str) -> Picture:
    values = _samples(image, np.int32 if image.mode == "I" else np.uint16)
    if image.mode == "I" and (values.min() < 0 or values.max() > 65535):
        raise FilmError("has pixels outside 0 to 65535; scale them to 8 or 16 bit first", Reason.UNSUPPORTED)
    transparent = image.info.get("transparency")
    return show_16_bit(values, png_range, transparent if isinstance(transparent, int) else None)


def _samples(image: Image.Image, kind: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """The samples [h, w] of a picture of one band; half the time of `np.asarray`, which copies all of it."""
    samples = np.empty((image.height, image.width), kind)
    rows = max(1, _STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        samples[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return samples


def _over_black(image: Image.Image) -> Pixels:
    from PIL import ImageChops

    if image.mode not in ("LA", "RGBA"):
        image = image.convert("LA" if image.mode in ("1", "L", "La") else "RGBA")
    grey, alpha = image.convert("LA").split()
    return np.asarray(ImageChops.multiply(grey, alpha))


def _from_array(values: npt.NDArray[Any], png_range: str) -> Picture:
    accepted = "give uint8 [h, w], uint8 [h, w, 3] or uint16 [h, w]"
    colour = values.ndim == 3 and values.shape[2] == 3 and values.dtype == np.uint8
    if not colour and (values.ndim != 2 or values.dtype not in (np.uint8, np.uint16)):
        raise FilmError(f"is {values.dtype} {list(values.shape)}, whose meaning is unknown; {accepted}")
    check_size(values.shape[0], values.shape[1])
    if colour:
        from PIL import Image

        return Picture(np.asarray(Image.fromarray(np.ascontiguousarray(values)).convert("L")), _AS_STORED)
    return Picture(values, _AS_STORED) if values.dtype == np.uint8 else show_16_bit(values, png_range)


def _reason(error: Exception) -> str:
    """What Pillow says; it speaks of the file's structure, never of its contents."""
    return str(error) or type(error).__name__
