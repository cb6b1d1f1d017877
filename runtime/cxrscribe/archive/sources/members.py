"""Members of tar and zip archives: which of them are films, and their bytes, read in place.

Nothing is unpacked, and no member's name is ever used as a path. A tar's member is found again by the place
of its bytes; a zip's by the place of its header and its checksum. A compressed tar can only be read from its
beginning: it is read in the order of its members, which is the plan's.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from cxrscribe import regular_file
from cxrscribe.archive.plan import Listed, PlannedFilm, film_id
from cxrscribe.archive.quarantine import QuarantinedError
from cxrscribe.errors import InputError, Reason
from cxrscribe.films.film import looks_like_film
from cxrscribe.films.limits import MOST_BYTES
from cxrscribe.shortages import SHORTAGES, shortage_remedy

SEPARATOR: Final = "!/"
"""Between an archive's name and its member's; no path is called so, see `called`."""
UNLISTED: Final = "unlisted"
"""The stamp of a folder or archive of which not all could be listed."""

SNIFFED_BYTES: Final = 132
"""Of which it can be told whether a file is DICOM."""

_TAR: Final = (".tar",)
_COMPRESSED_TAR: Final = (".tar.gz", ".tgz")
_ZIP: Final = (".zip",)
_LIKE_SEPARATOR: Final = re.compile(r"(\.(?:tar|tar\.gz|tgz|zip)!+)/", re.IGNORECASE)
_MOST_HEADER_BYTES: Final = 1 << 20
_MOST_SHARED_RECORDS: Final = 1000
_MOST_MEMBERS: Final = 10_000_000
_BLOCK: Final = 512
_SPARSE: Final = "sparse"
_CHECKSUM: Final = slice(148, 156)  # of a tar's header (POSIX.1-2017, pax, ustar)
READ_ONLY: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""How files are opened that may be something else: a pipe isn't waited for."""
DAMAGED_THERE: Final = "its archive is damaged there; fetch the archive again"
_ENCRYPTED: Final = 1  # bit of a zip member's flags (APPNOTE 4.4.4)


def is_archive(path: str) -> bool:
    """Whether a file of this name is an archive whose members are read."""
    return path.lower().endswith((*_TAR, *_COMPRESSED_TAR, *_ZIP))


def called(path: str) -> str:
    """What a file is called that has this path below the root: the path, as a rule.

    A folder whose name looks like an archive's with the separator, `a.tar!`, gets one `!` more. So what comes
    before the first separator in the name of a film is always the archive that it is a member of, and no two
    films have one name.
    """
    return _LIKE_SEPARATOR.sub(r"\1!/", path)


def list_members(path: str, archive: str) -> Iterator[Listed]:
    """The films in the archive at `path`, which is at `archive` below the root, in their order.

    Whatever part of it can't be listed becomes one film more, which bears the archive's own name: its row
    will say so. A name that stands in it twice gets `#2` behind it.
    """
    name = called(archive)
    listing = _zip_members if path.lower().endswith(_ZIP) else _tar_members
    numbers: dict[bytes, int] = {}
    try:
        for count, (member, size, stamp) in enumerate(listing(path), start=1):
            if count > _MOST_MEMBERS or size < 0:
                raise tarfile.ReadError
            yield Listed(_unused(f"{name}{SEPARATOR}{member}", numbers), size, stamp, archive)
    except Exception as error:  # those who read archives raise whatever comes to them
        check_shortage(error, path)
        yield listed_file(archive, -1, UNLISTED)


def listed_file(path: str, size: int, stamp: str) -> Listed:
    """A file, or what can't be listed, that is at `path` below the root."""
    film = called(path)
    return Listed(film, size, stamp, path=path if film != path else "")


def _unused(film: str, numbers: dict[bytes, int]) -> str:
    """A name that isn't taken; `numbers`: of those that are, how often each was asked for."""
    key, number, name = film_id(film), 1, film
    if key in numbers:  # all numbers up to the last one are taken
        number = numbers[key]
        while (other := film_id(name)) in numbers:
            number += 1
            name = f"{film}#{number}"
        numbers[other] = 1
    numbers[key] = number
    return name


def open_regular(path: str) -> BinaryIO:
    """Open a file to read it. Raises OSError, also where it is no regular file: a pipe isn't waited for."""
    return BufferedReader(regular_file.open_regular(Path(path)))


def check_shortage(error: Exception, path: str) -> None:
    """Raise InputError when it is the machine that could read nothing: such a list makes no plan."""
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        raise InputError(
            f"{path} can't be listed ({error.strerror}); {shortage_remedy(error)}, and give the same command"
        ) from None


def _tar_members(path: str) -> Iterator[tuple[str, int, str]]:
    with open_regular(path) as file:
        archive = _archive_stamp(file)
        headers = _Headers(file if path.lower().endswith(_TAR) else gzip.GzipFile(fileobj=file))
        with tarfile.TarFile(fileobj=headers) as tar:  # type: ignore[arg-type]
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
                headers.check(tar.pax_headers)
                headers.begin_member()
                if member.isreg() and looks_like_film(member.name, partial(_head, tar, member)):
                    place = _SPARSE if member.issparse() else f"{member.offset_data}:{member.chksum}"
                    yield member.name, member.size, f"{archive}:{place}"
                headers.begin_member()  # the beginning of this one may have been read
            # tarfile takes a damaged header, and a file that was cut off, for the end.
            headers.seek(tar.offset)
            if headers.read(_BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError


class _Headers:
    """A tar, of which not more than 1 MB is read for one member: what its bytes are found by.

    Extended headers (long names, POSIX' records, maps of sparse files) may be of any size and number before a
    member, and tarfile takes all of them into memory. What stands between headers is passed over by `seek`.
    """

    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file
        self._left = _MOST_HEADER_BYTES
        self.tell = file.tell
        self.seek = file.seek

    def read(self, size: int) -> bytes:
        """Raises ReadError when it is too much for one member."""
        self._left -= size
        if size < 0 or self._left < 0:
            raise tarfile.ReadError("its headers are larger than any member's")
        return self._file.read(size)

    def begin_member(self) -> None:
        """What is read from now on is about the next member."""
        self._left = _MOST_HEADER_BYTES

    def check(self, shared: Mapping[str, str]) -> None:
        """Raise ReadError when the records that are about all members are too many; each has a copy."""
        if len(shared) > _MOST_SHARED_RECORDS or sum(map(len, shared.values())) > _MOST_HEADER_BYTES:
            raise tarfile.ReadError("it has too many records for all members")


def _archive_stamp(file: BinaryIO) -> str:
    status = os.fstat(file.fileno())
    return f"{status.st_mtime_ns}:{status.st_size}"


def _head(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    return b"" if file is None else file.read(SNIFFED_BYTES)


def _zip_members(path: str) -> Iterator[tuple[str, int, str]]:
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
            if not member.is_dir() and _may_be_film(archive, member):
                yield member.filename, member.file_size, f"{member.header_offset}:{member.CRC:08x}"


def _may_be_film(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    """Whether a member looks like a film, or nobody can tell: then its row will say why."""
    try:
        return looks_like_film(member.filename, partial(_zip_head, archive, member))
    except Exception:  # damaged, encrypted, packed in a way that isn't read
        return True


def _zip_head(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        return file.read(SNIFFED_BYTES)


class OpenArchive(Protocol):
    """An archive whose members are being read."""

    def read(self, film: PlannedFilm) -> bytes:
        """The bytes of a member. Raises QuarantinedError where it isn't what was planned, OSError."""

    def close(self) -> None:
        """Close its file."""


def open_archive(path: str) -> OpenArchive:
    """Open an archive to read members. Raises OSError, QuarantinedError where it is no archive any more."""
    lower = path.lower()
    if lower.endswith(_ZIP):
        return _Zip(path)
    return _Tar(path, is_compressed=not lower.endswith(_TAR))


class _Tar:
    """An OpenArchive of a tar: any member at once, of a compressed one after all that stands before it."""

    def __init__(self, path: str, *, is_compressed: bool) -> None:
        self._file = open_regular(path)
        self._content = gzip.GzipFile(fileobj=self._file) if is_compressed else self._file

    def read(self, film: PlannedFilm) -> bytes:
        place, checksum = _place_in_tar(film, _archive_stamp(self._file))
        try:
            self._content.seek(place - _BLOCK)
            header, content = self._content.read(_BLOCK), self._content.read(film.size)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise QuarantinedError(Reason.UNREADABLE, DAMAGED_THERE) from None
        if len(content) < film.size:
            raise QuarantinedError(
                Reason.TRUNCATED, "its archive ends before it does; fetch the archive again"
            )
        if tarfile.nti(header[_CHECKSUM]) != checksum:  # type: ignore[attr-defined]
            raise QuarantinedError(Reason.CHANGED, _ARCHIVE_CHANGED)
        return content

    def close(self) -> None:
        self._content.close()
        self._file.close()


class _Zip:
    """An OpenArchive that reads any member at once, and checks its checksum."""

    def __init__(self, path: str) -> None:
        self._file = open_regular(path)
        try:
            self._archive = zipfile.ZipFile(self._file)
        except zipfile.BadZipFile:
            self._file.close()
            raise QuarantinedError(Reason.CHANGED, _ARCHIVE_CHANGED) from None
        self._members = {f"{each.header_offset}:{each.CRC:08x}": each for each in self._archive.infolist()}

    def read(self, film: PlannedFilm) -> bytes:
        member = self._members.get(film.stamp)
        if member is None or member.file_size != film.size:
            raise QuarantinedError(Reason.CHANGED, _ARCHIVE_CHANGED)
        if member.flag_bits & _ENCRYPTED:
            raise QuarantinedError(
                Reason.UNSUPPORTED, "is encrypted in its archive; decrypt the archive first"
            )
        try:
            with closing(self._archive.open(member)) as file:
                content = file.read(film.size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError):
            raise QuarantinedError(Reason.UNREADABLE, DAMAGED_THERE) from None
        except (NotImplementedError, RuntimeError):
            raise QuarantinedError(
                Reason.UNSUPPORTED, "is packed in a way that isn't read; pack the archive anew"
            ) from None
        if len(content) != film.size:
            raise QuarantinedError(
                Reason.UNREADABLE, "is longer or shorter than its archive says; pack it anew"
            )
        return content

    def close(self) -> None:
        self._archive.close()
        self._file.close()


_ARCHIVE_CHANGED: Final = "its archive has changed since the run was planned; start a new run"


def _place_in_tar(film: PlannedFilm, archive: str) -> tuple[int, int]:
    """Where a member's bytes are, and the checksum of the header before them."""
    changed, size, place, *checksum = film.stamp.split(":")
    if f"{changed}:{size}" != archive:
        raise QuarantinedError(Reason.CHANGED, _ARCHIVE_CHANGED)
    if place == _SPARSE:
        raise QuarantinedError(Reason.UNSUPPORTED, "is a sparse member of its archive; pack the archive anew")
    return int(place), int(checksum[0])


def check_size(film: PlannedFilm) -> None:
    """Raise QuarantinedError when a film is larger than any that is read."""
    if film.size > MOST_BYTES:
        raise QuarantinedError(
            Reason.TOO_LARGE, f"holds {film.size:,} bytes, more than any film that is read; reduce it first"
        )
