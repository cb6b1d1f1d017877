"""A study: the images and the report of one examination, as the Indiana collection's XML holds it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Final, NoReturn
from xml.parsers import expat

from cxrscribe.errors import InputError

# Real files have 5 to 15 kB and 9 levels; both limits leave room and stop hostile files early. 128 KiB is
# also the longest field that Python's csv module reads back.
MAX_XML_BYTES: Final = 128 * 1024
MAX_XML_DEPTH: Final = 64

_STUDY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REPORT_LABELS: Final = ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION")


@dataclass(frozen=True)
class Study:
    """One examination.

    `image_ids` are file names without ending; each starts with `<study_id>_`. The texts have their
    white space collapsed and are empty where the report has none. `mesh` holds the headings that a
    person assigned (`MeSH/major`), for instance `Opacity/lung/base/left`.

    Raises InputError when an id can't be a file name, an image belongs to another study or is named twice,
    or a heading is empty or holds a `;`.
    """

    study_id: str
    image_ids: tuple[str, ...] = ()
    findings: str = ""
    impression: str = ""
    indication: str = ""
    comparison: str = ""
    mesh: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _STUDY_ID.fullmatch(self.study_id):
            raise InputError(f"study id {self.study_id!r} must be letters, digits, '-' and '.' only")
        for image_id in self.image_ids:
            if not _IMAGE_ID.fullmatch(image_id):
                raise InputError(f"image id {image_id!r} must be letters, digits, '-', '.' and '_' only")
            if study_of(image_id) != self.study_id:
                raise InputError(
                    f"image {image_id!r} is not of study {self.study_id!r}: "
                    f"its id must start with '{self.study_id}_'"
                )
        if len(set(self.image_ids)) != len(self.image_ids):
            raise InputError(f"study {self.study_id!r} names an image twice: {', '.join(self.image_ids)}")
        for heading in self.mesh:
            if not heading or ";" in heading:
                raise InputError(
                    f"MeSH heading {heading!r} is empty or holds a ';', which parts headings in tables"
                )


def study_of(image_id: str) -> str:
    """The study that an image belongs to: its id up to the first `_`."""
    return image_id.partition("_")[0]


def parse_study(xml: bytes, name: str) -> Study:
    """Read one report file; `name` is what errors call it.

    Raises InputError when it is no XML, declares a DOCTYPE or entities (which could pull in other
    files or grow without end; the collection has none), is larger than 128 KiB, or lacks a valid id.
    """
    root = _parse_xml(xml, name)
    identifier = root.find(".//uId")
    if identifier is None or not identifier.get("id"):
        raise InputError(f"{name}: no <uId id=...>, so it is not a report of the Indiana collection's format")
    texts: dict[str, list[str]] = {label: [] for label in _REPORT_LABELS}
    for element in root.iter("AbstractText"):
        label = (element.get("Label") or "").strip().upper()
        if label in texts:
            texts[label].append(_collapsed("".join(element.itertext())))
    comparison, indication, findings, impression = (
        " ".join(filter(None, texts[label])) for label in _REPORT_LABELS
    )
    headings = (_collapsed("".join(element.itertext())) for element in root.iterfind(".//MeSH/major"))
    try:
        return Study(
            study_id=identifier.get("id", ""),
            image_ids=tuple(element.get("id", "") for element in root.iter("parentImage")),
            findings=findings,
            impression=impression,
            indication=indication,
            comparison=comparison,
            mesh=tuple(filter(None, headings)),
        )
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def write_study(study: Study) -> bytes:
    """The study as a UTF-8 XML file that `parse_study` reads back as the same study.

    The elements are those of the Indiana collection that carry the report, the headings and the images.
    Raises InputError when a text can't be kept exactly: it has control characters or uncollapsed white space.
    """
    root = ElementTree.Element("eCitation")
    ElementTree.SubElement(root, "meta", type="rr")
    ElementTree.SubElement(root, "uId", id=study.study_id)
    article = ElementTree.SubElement(
        ElementTree.SubElement(root, "MedlineCitation"), "Article", PubModel="Electronic"
    )
    abstract = ElementTree.SubElement(article, "Abstract")
    texts = (study.comparison, study.indication, study.findings, study.impression)
    for label, text in zip(_REPORT_LABELS, texts, strict=True):
        ElementTree.SubElement(abstract, "AbstractText", Label=label).text = text
    headings = ElementTree.SubElement(root, "MeSH")
    for heading in study.mesh:
        ElementTree.SubElement(headings, "major").text = heading
    for number, image_id in enumerate(study.image_ids, start=1):
        image = ElementTree.SubElement(root, "parentImage", id=image_id)
        ElementTree.SubElement(image, "figureId").text = f"F{number}"
    ElementTree.indent(root, space="   ")
    xml = b'<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"
    if _parsed_or_none(xml, study.study_id) != study:
        raise InputError(
            f"study {study.study_id!r} can't be written as XML: remove control characters and "
            "repeated or outer white space from its texts"
        )
    return xml


def _parsed_or_none(xml: bytes, name: str) -> Study | None:
    try:
        return parse_study(xml, name)
    except InputError:
        return None


def _collapsed(text: str) -> str:
    return " ".join(text.split())


def _parse_xml(xml: bytes, name: str) -> ElementTree.Element:
    """Parse with expat and no entities at all, for they are how hostile XML works."""
    if len(xml) > MAX_XML_BYTES:
        raise InputError(f"{name}: {len(xml)} bytes are too many for one report (at most {MAX_XML_BYTES})")
    builder = ElementTree.TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_XML_DEPTH:
            raise InputError(f"{name}: elements are nested more than {MAX_XML_DEPTH} deep; not a report")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_declaration: object) -> NoReturn:
        raise InputError(f"{name}: declares a DOCTYPE or entities, which are refused; remove the declaration")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: malformed XML ({error}); download the file again") from None
    return builder.close()
