"""Films of the plan through the reporter's one continuous stream, out as rows.

Every film takes one place in the stream, also one that can't be read or needs no scoring, whose place is
empty. So rows come out in the plan's order, and nothing is read further ahead than the stream allows.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from cxrscribe.archive.indications import text_of
from cxrscribe.archive.plan import PlannedFilm
from cxrscribe.archive.quarantine import FaultError, QuarantinedError, fault_of, quarantined
from cxrscribe.archive.rows.row import Content, Row, film_row
from cxrscribe.archive.run import Run
from cxrscribe.archive.sources.reading import FETCHED_AHEAD, FilmReader
from cxrscribe.archive.structured_reports import (
    Source,
    StructuredReport,
    maker_of,
    source_of,
    structured_report,
)
from cxrscribe.errors import FilmError
from cxrscribe.films.dicom import is_dicom, silence_pydicom
from cxrscribe.films.quiet import quiet_libraries
from cxrscribe.report import Report

if TYPE_CHECKING:
    from cxrscribe.reporter import Reporter
    from cxrscribe.stats import DecodingStats

_Place: TypeAlias = tuple[bytes, str | None]
"""What takes a place in the stream: a film, and what the run's table says of its patient."""
_EMPTY: Final[_Place] = (b"", None)
"""Where there is nothing to score."""


@dataclass(frozen=True)
class Made:
    """A row, and in runs that make them the structured report of its report."""

    row: Row
    document: StructuredReport | None = None


@dataclass(eq=False)
class Group:
    """Films of one shard that are scored together."""

    shard: int
    films: Sequence[PlannedFilm]
    ready: Iterable[Made | FaultError] | None = None
    """Their rows, where someone else makes them."""
    rows: dict[int, Row] = field(default_factory=dict)
    """Those that have come out, by number."""
    documents: dict[int, StructuredReport] = field(default_factory=dict)
    """In runs that make structured reports: of rows that have a report, by number."""
    is_left: bool = False
    """Whether a fault came out, so that nothing else will."""


@dataclass(frozen=True)
class _Scored:
    """A film that the stream gives a report or an error for."""

    content: Content
    source: Source | None
    """What it has for a structured report, where any are made."""


@dataclass(frozen=True)
class _SameAs:
    """A film whose content an earlier one of its group has."""

    row: int
    content: Content
    source: Source | None


_Found: TypeAlias = _Scored | _SameAs | QuarantinedError | FaultError | Made | None


class RowStream:
    """Makes rows of films, for one run. Each stream is iterated once.

    Raises InputError when the run's rows have hashes for names, and it was opened without their key, or when
    the table of its indications isn't there, or is another than the run was begun with.
    """

    def __init__(self, run: Run, reporter: Reporter, *, score_duplicates: bool = False) -> None:
        self._run = run
        self._names = run.names
        self._table = run.table
        self._reporter = reporter
        self._score_duplicates = score_duplicates
        self._documents = maker_of(run)
        self._places: deque[tuple[Group, PlannedFilm | None, _Found]] = deque()
        """What has taken a place in the stream and hasn't come out."""

    def rows(
        self, groups: Iterable[Group], batch_size: int, stats: DecodingStats | None = None
    ) -> Generator[tuple[Group, Row | FaultError | None], None, None]:
        """The rows of all groups, in order, each with its group.

        A group whose films can't be scored for now ends with a FaultError; one without films gives None.
        `groups` is iterated on the stream's thread.
        """
        texts: deque[str | None] = deque()

        def films() -> Iterator[bytes]:
            for content, text in self._films(groups):
                texts.append(text)
                yield content

        stream = self._reporter.report_stream(
            films(),
            self._run.identity.settings,
            # A film is asked for right before its text.
            indications=None if self._table is None else iter(texts.popleft, object()),
            batch_size=batch_size,
            stats=stats,
        )
        with closing(cast("Generator[Report | FilmError, None, None]", stream)) as outcomes:
            for outcome in outcomes:
                group, film, found = self._places.popleft()
                if group.is_left:  # what had taken a place before the fault came out
                    continue
                if film is None or found is None:
                    yield group, None
                    continue
                made = self._made(group, film, found, outcome)
                if isinstance(made, FaultError):
                    group.is_left = True
                    yield group, made
                    continue
                group.rows[made.row.row] = made.row
                if made.document is not None:
                    group.documents[made.row.row] = made.document
                yield group, made.row

    def _films(self, groups: Iterable[Group]) -> Iterator[_Place]:
        """What takes the places in the stream, one by one."""
        with FilmReader(self._run.plan.root) as reader:
            for group in groups:
                if not group.films:
                    self._places.append((group, None, None))
                    yield _EMPTY
                elif group.ready is not None:
                    yield from self._elsewhere(group, group.ready)
                else:
                    yield from self._here(group, reader)

    def _elsewhere(self, group: Group, ready: Iterable[Made | FaultError]) -> Iterator[_Place]:
        for film, row in zip(group.films, ready, strict=False):  # a fault ends them early
            self._places.append((group, film, row))
            yield _EMPTY

    def _here(self, group: Group, reader: FilmReader) -> Iterator[_Place]:
        first_of: dict[_Place, int] = {}
        for place, film in enumerate(group.films):
            if group.is_left:
                return
            bytes_read, text = _EMPTY
            found: _Found
            reader.expect(group.films[place : place + FETCHED_AHEAD])
            try:
                bytes_read = reader.read(film, group.films[place + 1 :] or group.films[:place])
                text = self._text(film)
                found = self._found(film, bytes_read, text, first_of)
            except (QuarantinedError, FaultError) as error:
                found = error.with_traceback(None)
            self._places.append((group, film, found))
            yield (bytes_read, text) if isinstance(found, _Scored) else _EMPTY
            if isinstance(found, FaultError):
                return

    def _text(self, film: PlannedFilm) -> str | None:
        """What the run's table says of the film's patient. Raises InputError when it can't be read."""
        if self._table is None:
            return None
        return text_of(self._table, self._run.plan.root, film)

    def _found(
        self, film: PlannedFilm, bytes_read: bytes, text: str | None, first_of: dict[_Place, int]
    ) -> _Scored | _SameAs:
        digest = hashlib.sha256(bytes_read).digest()
        uid = sop_instance_uid(bytes_read) if self._run.identity.choice.dicom_uids else None
        content = Content(digest, uid)
        source = None
        if self._documents is not None:
            source = source_of(bytes_read, digest, self._reporter.isolation)
        first = first_of.setdefault((digest, text), film.row)
        if first == film.row or self._score_duplicates:
            return _Scored(content, source)
        return _SameAs(first, content, source)

    def _made(
        self,
        group: Group,
        film: PlannedFilm,
        found: _Scored | _SameAs | QuarantinedError | FaultError | Made,
        outcome: Report | FilmError,
    ) -> Made | FaultError:
        if isinstance(found, Made):
            return found
        row = self._row(group, film, found, outcome)
        if isinstance(row, FaultError):
            return row
        document = None
        if row.report is not None and self._documents is not None:
            assert isinstance(found, _Scored | _SameAs)
            assert found.source is not None
            document = structured_report(self._documents, found.source, row.report.text)
        return Made(row, document)

    def _row(
        self,
        group: Group,
        film: PlannedFilm,
        found: _Scored | _SameAs | QuarantinedError | FaultError,
        outcome: Report | FilmError,
    ) -> Row | FaultError:
        if isinstance(found, FaultError):
            return found
        if isinstance(found, _Scored) and isinstance(outcome, FilmError) and (fault := fault_of(outcome)):
            return fault
        content = None if isinstance(found, QuarantinedError) else found.content
        known: Report | QuarantinedError
        if isinstance(found, QuarantinedError):
            known = found
        elif isinstance(found, _SameAs):
            known = _outcome(group.rows[found.row])
        else:
            known = outcome if isinstance(outcome, Report) else quarantined(outcome)
        identity = self._run.identity
        told = identity.indications.told(known)
        if isinstance(found, _SameAs):
            told = group.rows[found.row].indication
        return film_row(
            group.shard, film, content, known, identity.disclaimer, identity.choice, self._names, told
        )


def sop_instance_uid(content: bytes) -> str | None:
    """SOPInstanceUID of a DICOM file; None for any other file, or where it can't be read."""
    if not is_dicom(content):
        return None
    try:
        from pydicom import dcmread

        silence_pydicom()  # its remarks quote values
        with quiet_libraries():
            dataset = dcmread(
                BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"], force=True
            )
            return str(dataset.SOPInstanceUID)
    except Exception:  # its row will say what is wrong with it
        return None


def _outcome(row: Row) -> Report | QuarantinedError:
    if row.report is not None:
        return row.report
    assert row.reason is not None
    return QuarantinedError(row.reason, row.message or "")
