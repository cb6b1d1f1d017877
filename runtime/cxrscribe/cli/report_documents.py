"""The structured reports that `cxrscribe report --sr` writes beside what it prints."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cxrscribe.cli.report_row import ReportRow, Row, StudyRow
from cxrscribe.errors import FilmError, InputError, MissingExtraError
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.settings import BeamSettings
    from cxrscribe.structured_report.document import DocumentMaker, SourceFilm

CLOCK_VARIABLE: Final = "SOURCE_DATE_EPOCH"
"""Seconds since 1970 that stand for now, where two calls shall write the same bytes."""
_SUFFIX: Final = ".dcm"


@dataclass
class ReportDocuments:
    """Where structured reports go: one file, or a folder with a file for each, which its UID names.

    Raises InputError when the file is there and may not be, or a file is where the folder should be;
    MissingExtraError without the extra `dicom`.
    """

    path: Path
    """A name that ends with `.dcm` is that of a file, unless it is a folder's; any other is a folder's."""
    reporter: Reporter
    settings: BeamSettings
    overwrite: bool
    resume: bool = False
    """Whether a file that is there may be that of an earlier call, whose films aren't reported again."""
    written: int = 0
    failed: int = 0
    """Reports that have none."""

    def __post_init__(self) -> None:
        if find_spec("pydicom") is None:
            raise MissingExtraError("structured reports", "dicom")
        if self.is_file and self.path.exists() and not (self.overwrite or self.resume):
            raise InputError(f"{self.path} exists; give --overwrite to replace it, or another name")
        if not self.is_file and self.path.exists() and not self.path.is_dir():
            raise InputError(
                f"{self.path} is no folder; give --sr a folder, or a name that ends with {_SUFFIX}"
            )

    @property
    def is_file(self) -> bool:
        """Whether there is one file, for one report."""
        return self.path.suffix.lower() == _SUFFIX and not self.path.is_dir()

    def expect(self, count: int | None, many: str) -> None:
        """Raise InputError where there are more reports than a file may be of; None: nobody knows how many.

        `many`: what they are of.
        """
        if self.is_file and count != 1 and not (self.resume and count == 0):
            there = "any number of" if count is None else str(count)
            raise InputError(
                f"{self.path} can have one structured report, and there are {there} {many}; give --sr a "
                "folder"
            )

    def write(self, row: Row) -> str | None:
        """Write the structured report of a row's report; why there is none, in one line which names a film.

        Raises InputError when the file can't be written, or is there and may not be.
        """
        from cxrscribe.structured_report.attributes import NotPossibleError

        if not isinstance(row.outcome, Report):
            return None
        films = _films(row)
        if self.is_file and any(_is_same(self.path, film) for film in films):
            raise InputError(f"{self.path} is the film; give --sr another name")
        try:
            document = self._maker.make([self._source(film) for film in films], row.outcome.text)
        except NotPossibleError as error:
            self.failed += 1
            return f"{films[error.place]}: has no structured report: it {error}"
        except FilmError as error:
            self.failed += 1
            return f"{error}; so it has no structured report"
        if not self.is_file:
            self._make_folder()
        _put(
            self.path if self.is_file else self.path / f"{document.uid}{_SUFFIX}",
            document.content,
            self.overwrite,
        )
        self.written += 1
        return None

    @cached_property
    def _maker(self) -> DocumentMaker:
        """All that words depend on is in the UIDs, and the time: each call makes documents of its own."""
        from cxrscribe.archive.identity import identity_of
        from cxrscribe.archive.rows.part import JSONL
        from cxrscribe.archive.rows.row import RowChoice
        from cxrscribe.structured_report.document import DocumentMaker

        made = content_time()
        identity = identity_of(self.reporter, self.settings, JSONL, RowChoice(), "", (), "", sr=True)
        name = f"{identity.run_id} {made.isoformat()}"
        return DocumentMaker(name, identity.bundle, made, self.reporter.disclaimer)

    def _source(self, film: str) -> SourceFilm:
        """What a film has for a structured report. Raises FilmError, which names it, and NotPossibleError."""
        from cxrscribe.films.dicom import is_dicom
        from cxrscribe.films.film import naming, open_source
        from cxrscribe.films.identifiers import read_identifiers
        from cxrscribe.structured_report.document import SourceFilm

        with naming(film):
            content = open_source(film)
            assert isinstance(content, bytes)
            found = read_identifiers(content, self.reporter.isolation) if is_dicom(content) else None
            return SourceFilm(found, hashlib.sha256(content).digest())

    def _make_folder(self) -> None:
        try:
            self.path.mkdir(0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path} can't be made ({error.strerror}); check its folder's rights"
            ) from None


def content_time() -> datetime:
    """Date and time of the content of documents that are made now, without a time zone.

    What SOURCE_DATE_EPOCH says, in UTC; without it the local time. Raises InputError where that is no time.
    """
    given = os.environ.get(CLOCK_VARIABLE)
    if not given:
        return datetime.now(UTC).astimezone().replace(tzinfo=None, microsecond=0)
    try:
        return datetime.fromtimestamp(int(given), UTC).replace(tzinfo=None)
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"{CLOCK_VARIABLE} is {given!r}, no time; give seconds since 1970, or leave it out"
        ) from None


def _films(row: Row) -> Sequence[str]:
    """The films that a row's report was made of."""
    if isinstance(row, ReportRow):
        return (row.film,)
    assert isinstance(row, StudyRow)
    return [film for film in row.films if film not in row.left_out]


def _is_same(path: Path, film: str) -> bool:
    """Whether they are one file, by whatever names."""
    try:
        return path.samefile(film)
    except (OSError, ValueError):
        return False


def _put(path: Path, content: bytes, overwrite: bool) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises InputError.

    One that is there with the same bytes stays.
    """
    unfinished = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        if path.exists() and not overwrite:
            if path.read_bytes() == content:
                return
            raise InputError(f"{path} exists; give --overwrite to replace it, or --sr another place")
        try:
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{path} can't be written ({error.strerror or error}); check its folder, rights and free room"
        ) from None
