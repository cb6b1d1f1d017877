"""Which study a DICOM file is of: its StudyInstanceUID, read from the header alone.

It is an identifier. It is looked at only where somebody asks for it, and no error repeats it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import FilmError, MissingExtraError
from cxrscribe.films.dicom import header_start, is_dicom, silence_pydicom
from cxrscribe.films.film import naming, open_source
from cxrscribe.films.isolation import Isolation, study_uid_isolated
from cxrscribe.films.quiet import quiet_libraries

if TYPE_CHECKING:
    from pydicom.tag import BaseTag

_STUDY_UID: Final = 0x0020000D
_UID: Final = re.compile(r"[0-9.]{1,64}")  # PS3.5, 9.1, as far as it keeps names out
_SNIFFED_BYTES: Final = 4096
_HEADER_BYTES: Final = 1 << 20  # of a file: it stands near the beginning
_OTHERWISE: Final = "group films by folder, or by a table"


def read_study_uid(film: str | Path, isolation: Isolation | None = None) -> str:
    """The StudyInstanceUID of a file. Files that `isolation` names are read in a process of their own.

    Raises FilmError when the file is missing, no DICOM file, damaged, or doesn't say its study.
    """
    limits = isolation if isolation is not None else Isolation()
    starts: list[bytes] = []

    def leave(start: bytes) -> bool:
        starts.append(start)
        return True  # so that no more of it is read here

    with naming(film):
        opened = open_source(film, leave)
        start = opened[:_SNIFFED_BYTES] if isinstance(opened, bytes) else starts[0]
        if not is_dicom(start):
            raise FilmError(f"is no DICOM file, so that nothing says its study; {_OTHERWISE}")
        assert isinstance(opened, bytes | Path)
        uid = study_uid_isolated(opened, limits) if limits.concerns(start) else study_uid_of(opened)
        if not _UID.fullmatch(uid):
            raise FilmError(f"has a StudyInstanceUID that is none; {_OTHERWISE}")
        return uid


def study_uid_of(film: bytes | Path) -> str:
    """The StudyInstanceUID of a DICOM file, of its content or at its path, read in this process.

    Raises FilmError, which doesn't name the film, when it is damaged or says none; MissingExtraError without
    the extra `dicom`.
    """
    try:
        from pydicom.filereader import read_partial
    except ModuleNotFoundError:
        raise MissingExtraError("reading DICOM", "dicom") from None
    silence_pydicom()
    with quiet_libraries():
        try:
            header = header_start(_start(film), _HEADER_BYTES)
            dataset = read_partial(header, _is_past, specific_tags=[_STUDY_UID])
            uid = str(dataset.get("StudyInstanceUID") or "").strip("\0 ")
        except (FilmError, MemoryError):
            raise
        except Exception as error:
            raise FilmError(f"is a damaged DICOM file ({type(error).__name__}); fetch it again") from None
    if not uid:
        raise FilmError(f"is a DICOM file that doesn't say its study; {_OTHERWISE}")
    return uid


def _start(film: bytes | Path) -> bytes:
    if isinstance(film, bytes):
        return film[:_HEADER_BYTES]
    try:
        with film.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        raise FilmError(
            f"can't be opened ({error.strerror or type(error).__name__}); check its rights"
        ) from None


def _is_past(tag: BaseTag, vr: str | None, length: int) -> bool:
    """Whether what is looked for can't come any more: elements stand by rising tag."""
    return int(tag) > _STUDY_UID
