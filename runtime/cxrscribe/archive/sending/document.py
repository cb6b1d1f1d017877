"""A structured report as it is sent, and whether what a PACS has is the same one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from cxrscribe.errors import InputError
from cxrscribe.structured_report.document import SOP_CLASS

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOST_AT_ONCE: Final = 100
"""Documents that are asked for, sent and asked for again together."""
MOST_BYTES: Final = 4 << 20
"""Of these, and of one request, unless a single document has more."""
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID: Final = 64
_COMPARED: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "ContentDate",
    "ContentTime",
    "ValueType",
    "ConceptNameCodeSequence",
    "CompletionFlag",
    "VerificationFlag",
    "PreliminaryFlag",
    "ContentSequence",
    "CurrentRequestedProcedureEvidenceSequence",
)
"""What makes a document what it is. A PACS may change the rest: names, numbers of patients and studies."""


@dataclass(frozen=True)
class Document:
    """A structured report of a shard."""

    rows: tuple[int, ...]
    """Of its film; several where films of a shard have the same bytes, and so the same report."""
    content: bytes
    """A whole file, explicit little endian."""
    study: str
    series: str
    instance: str
    """UIDs."""

    def dataset(self) -> Dataset:
        """What the file holds."""
        from pydicom import dcmread

        return dcmread(BytesIO(self.content))


def read_documents(members: Sequence[tuple[int, bytes]], source: str) -> tuple[list[Document], list[int]]:
    """The documents of a shard, each UID once, and the rows whose UID another document of the shard has.

    `members`: rows and files, as `sr_tar.unpack` gives them. Raises InputError when one is no document;
    `source` is what it calls the tar.
    """
    found: dict[str, Document] = {}
    contradicting = []
    for row, content in members:
        try:
            study, series, instance = _uids(content)
        except Exception:  # whatever pydicom makes of damaged bytes
            raise InputError(
                f"{source}: the document of row {row} is damaged; `cxrscribe score verify` says more"
            ) from None
        known = found.get(instance)
        if known is None:
            found[instance] = Document((row,), content, study, series, instance)
        elif known.content == content:
            found[instance] = Document((*known.rows, row), content, study, series, instance)
        else:
            contradicting.append(row)
    return list(found.values()), contradicting


def requests_of(
    documents: Sequence[Document], most: int = MOST_AT_ONCE, most_bytes: int = MOST_BYTES
) -> Iterator[list[Document]]:
    """`documents` in order, in lists of at most `most` with at most `most_bytes`, or of one that has more."""
    some: list[Document] = []
    size = 0
    for document in documents:
        if some and (len(some) == most or size + len(document.content) > most_bytes):
            yield some
            some, size = [], 0
        some.append(document)
        size += len(document.content)
    if some:
        yield some


def is_same(document: Document, other: Dataset) -> bool:
    """Whether what a PACS has under a document's UID is that document.

    Compared are flags, times, evidence and the whole content. What a PACS may change when it takes a document
    in is not: attributes of patient and study, and how the file is encoded. False for what can't be read.
    """
    try:
        return _essence(document.dataset()) == _essence(other)
    except Exception:  # the other one came over the network, and may be anything
        return False


def _essence(dataset: Dataset) -> str:
    fields = {name: dataset[name].to_json_dict(None, 0) for name in _COMPARED if name in dataset}
    return json.dumps(fields, sort_keys=True)


def _uids(content: bytes) -> tuple[str, str, str]:
    """Study, series and instance. Raises whatever is wrong."""
    from pydicom import dcmread

    names = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
    dataset = dcmread(BytesIO(content), specific_tags=names)
    if dataset.SOPClassUID != SOP_CLASS:
        raise ValueError("not a Basic Text SR")
    study, series, instance = (str(dataset[name].value) for name in (names[2], names[3], names[1]))
    if not all(_UID.fullmatch(uid) and len(uid) <= _LONGEST_UID for uid in (study, series, instance)):
        raise ValueError("not a UID")
    return study, series, instance
