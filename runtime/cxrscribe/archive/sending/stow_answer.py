"""What a DICOMweb service says of the documents that it was sent, in DICOM's JSON (PS3.18, F)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cxrscribe.archive.sending.destination import Answers, DestinationError, Refused
from cxrscribe.archive.sending.document import Document
from cxrscribe.structured_report.document import SOP_CLASS

_TAG_STORED, _TAG_FAILED = "00081199", "00081198"
_TAG_INSTANCE, _TAG_REASON = "00081155", "00081197"
_OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
_CLASS_NOT_SUPPORTED: Final = 0x0122


def read_answers(documents: Sequence[Document], body: bytes) -> Answers | None:
    """What a STOW-RS answer says of documents; None where it says nothing of any of them."""
    try:
        (fields,) = items_of(json.loads(body))
    except (ValueError, RecursionError):
        return None
    sent = {document.instance for document in documents}
    stored = {uid for item in _sequence(fields, _TAG_STORED) for uid in values_of(item, _TAG_INSTANCE)} & sent
    refused = {}
    later = {}
    for item in _sequence(fields, _TAG_FAILED):
        reason = next((each for each in values_of(item, _TAG_REASON) if isinstance(each, int)), 0)
        for uid in sent.intersection(map(str, values_of(item, _TAG_INSTANCE))) - stored:
            if reason == _CLASS_NOT_SUPPORTED:
                raise DestinationError(
                    "the PACS takes no Basic Text SR (failure reason 0x0122); let it take SOP class "
                    f"{SOP_CLASS}"
                )
            if reason in _OUT_OF_RESOURCES:
                later[uid] = f"0x{reason:04X}"
            else:
                refused[uid] = Refused(f"0x{reason & 0xFFFF:04X}", "the PACS refused the document")
    if not (stored or refused or later):
        return None
    return Answers(frozenset(stored), refused, later)


def items_of(value: object) -> list[Mapping[str, object]]:
    """The objects of a JSON array, or the only one."""
    each = value if isinstance(value, list) else [value]
    return [item for item in each if isinstance(item, Mapping)]


def values_of(item: Mapping[str, object], tag: str) -> list[Any]:
    """The values of an attribute, none where it isn't there."""
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []


def _sequence(item: Mapping[str, object], tag: str) -> list[Mapping[str, object]]:
    return items_of(values_of(item, tag))
