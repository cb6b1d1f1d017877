"""The structured reports of a run: who makes them, what a film needs for one, and whether they are whole.

They are in one tar a shard, `sr_tar`, which is put in place before the shard's part. Date and time of their
content are the run's start, so that a shard that is done twice has the same bytes twice.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from cxrscribe.archive import layout, sr_tar
from cxrscribe.archive.quarantine import OutOfResourcesError, fault_of
from cxrscribe.archive.rows.document_counts import DocumentCounts
from cxrscribe.archive.run import Run
from cxrscribe.errors import FilmError, InputError
from cxrscribe.films.dicom import is_dicom
from cxrscribe.films.identifiers import read_identifiers
from cxrscribe.films.isolation import Isolation
from cxrscribe.json_object import JsonObject
from cxrscribe.structured_report.attributes import NotPossible, NotPossibleError
from cxrscribe.structured_report.document import (
    Document,
    DocumentMaker,
    SourceFilm,
    finding_of,
    instance_uid,
    read_document,
    series_uid,
)

Source: TypeAlias = SourceFilm | NotPossible
"""What a film has for a structured report, or why it has too little."""
StructuredReport: TypeAlias = Document | NotPossible
"""The structured report of a film that has a report, or why there is none."""

_REMEDY: Final = "`cxrscribe score verify --drop-broken` puts it and the part aside"


def maker_of(run: Run) -> DocumentMaker | None:
    """What makes the documents of a run; None where it makes none. Raises InputError."""
    if not run.identity.sr:
        return None
    try:
        made = datetime.fromisoformat(run.started).replace(tzinfo=None)
    except ValueError:
        raise InputError(
            f"{run.place.locate(layout.RUN)} was begun at {run.started!r}, which is no time; start a new run"
        ) from None
    return DocumentMaker(run.run_id, run.identity.bundle, made, run.identity.disclaimer)


def source_of(content: bytes, sha256: bytes, isolation: Isolation) -> Source:
    """What a film has for a structured report. Raises OutOfResourcesError."""
    if not is_dicom(content):
        return SourceFilm(None, sha256)
    try:
        return SourceFilm(read_identifiers(content, isolation), sha256)
    except FilmError as error:
        if fault := fault_of(error):
            raise fault from None
        return NotPossible.UNREADABLE
    except MemoryError:
        raise OutOfResourcesError("no memory was left for a film's header") from None


def structured_report(maker: DocumentMaker, source: Source, text: str) -> StructuredReport:
    """The document of a film's report, or why there is none."""
    if isinstance(source, NotPossible):
        return source
    try:
        return maker.make([source], text)
    except NotPossibleError as error:
        return error.reason


def document_json(found: StructuredReport | None) -> dict[str, object]:
    """A structured report for another process, as fields of a message; none for None."""
    if isinstance(found, Document):
        content = b64encode(found.content).decode("ascii")
        return {"sr": {"content": content, "uid": found.uid, "left_out": list(found.left_out)}}
    return {} if found is None else {"sr_not_possible": str(found)}


def document_of(said: JsonObject) -> StructuredReport | None:
    """What `document_json` put in a message. Raises its error."""
    if "sr_not_possible" in said.names():
        return NotPossible(said.text("sr_not_possible"))
    if "sr" not in said.names():
        return None
    fields = said.object("sr")
    content = b64decode(fields.text("content"))
    return fields.make(Document, content, fields.text("uid"), fields.texts("left_out"))


def packed(planned: Sequence[int], made: Mapping[int, StructuredReport]) -> tuple[bytes, DocumentCounts]:
    """A shard's tar of documents by row, and what its part says of them."""
    found = [(row, made[row]) for row in planned if row in made]
    documents = [(row, each) for row, each in found if isinstance(each, Document)]
    content = sr_tar.pack([(row, document.content) for row, document in documents])
    reasons = Counter(str(each) for _, each in found if isinstance(each, NotPossible))
    counts = DocumentCounts(
        documents=len(documents),
        not_possible=dict(sorted(reasons.items())),
        left_out=sum(len(document.left_out) for _, document in documents),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    return content, counts


@dataclass(frozen=True)
class Reported:
    """What a row says of a film that has a report."""

    content_sha256: str
    text: str


def check_documents(
    run_id: str, content: bytes, name: str, counts: DocumentCounts, rows: Mapping[int, Reported]
) -> None:
    """Raise InputError unless a shard's tar is what its part says, with the documents of its rows' reports.

    `name`: the tar's. `rows`: those with a report, by number.
    """
    documents = sr_tar.unpack(content, name)
    if hashlib.sha256(content).hexdigest() != counts.sha256:
        raise InputError(f"{name} isn't the one that the shard's part was made with; {_REMEDY}")
    expected = counts.documents + sum(counts.not_possible.values())
    if len(documents) != counts.documents or expected != len(rows):
        raise InputError(f"{name} has {len(documents)} structured reports for {len(rows)} reports; {_REMEDY}")
    for row, document in documents:
        if row not in rows or not _is_of(run_id, document, rows[row]):
            raise InputError(f"{name} has another structured report than that of row {row}; {_REMEDY}")


def _is_of(run_id: str, document: bytes, report: Reported) -> bool:
    """Whether a document is that of this report, by its UIDs and its words."""
    try:
        found = read_document(document)
    except ValueError:
        return False
    sha256 = bytes.fromhex(report.content_sha256)
    return (
        found.uid == instance_uid(run_id, [(film, sha256) for film in found.films], report.text)
        and found.series == series_uid(run_id, found.study)
        and found.finding == finding_of(report.text)
    )
