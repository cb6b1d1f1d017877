"""A report as a Basic Text SR document (PS3.3, A.35.1) of template 2000 (PS3.16); and reading one back.

The same film, run and words give the same bytes: no clock, no random number and no name of a machine goes in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final, TypeVar
from uuid import UUID, uuid5

from cxrscribe.films import identifiers
from cxrscribe.films.identifiers import Identifiers
from cxrscribe.printable import printable
from cxrscribe.structured_report.attributes import (
    FilmAttributes,
    NotPossible,
    NotPossibleError,
    film_attributes,
)
from cxrscribe.structured_report.encoding import Element, dataset_of, element, elements, file, sequence
from cxrscribe.version import __version__

Item = TypeVar("Item")

SOP_CLASS: Final = "1.2.840.10008.5.1.4.1.1.88.11"
"""Basic Text SR Storage."""
PREFIX: Final = "DRAFT, NOT VERIFIED. "
"""How the finding's text begins, for viewers that show nothing else."""
IMPLEMENTATION_CLASS: Final = "2.25.121243971864685126546275114665669237953"
"""Of this program: 2.25 and a random UUID, which was drawn once and stays."""

_NAMESPACE: Final = UUID("0d296617-3bbb-49fe-ab9d-e78ea5e17ed4")
"""Drawn once as well; UIDs of documents depend on it."""
_PROGRAM: Final = "cxrscribe"
_SERIES_DESCRIPTION: Final = "Draft findings, not verified"
_SERIES_NUMBER: Final = "9001"  # behind those of the study's films in viewers that sort by it
_COMPLETION: Final = "Draft by a program: findings only"
_TEXT_VALUE: Final = 0x0040_A160
_CONTENT: Final = 0x0040_A730
_EVIDENCE: Final = 0x0040_A375
_REFERENCED_SERIES: Final = 0x0008_1115
_REFERENCED_SOPS: Final = 0x0008_1199
_REFERENCED_INSTANCE: Final = 0x0008_1155
_CONCEPT_NAME: Final = 0x0040_A043
_STORAGE_CLASSES: Final = "1.2.840.10008.5.1.4.1.1."
_CONTAINS: Final = "CONTAINS"
_CONTEXT: Final = "HAS OBS CONTEXT"


@dataclass(frozen=True)
class SourceFilm:
    """A film that a report was written for."""

    identifiers: Identifiers | None
    """None of a file that is no DICOM."""
    sha256: bytes
    """Of its file: two films may bear one SOPInstanceUID."""


@dataclass(frozen=True)
class Document:
    """A structured report."""

    content: bytes
    """A whole file."""
    uid: str
    """Its SOPInstanceUID."""
    left_out: tuple[str, ...] = ()
    """Keywords of what the film says of patient and study that isn't valid, and was left empty."""


@dataclass(frozen=True)
class DocumentMaker:
    """Makes the documents of one run, or of one call: they have all but film and words in common."""

    identity: str
    """What the reports are made with: of a run its `run_id`. UIDs depend on it."""
    bundle: str
    """sha256 of the bundle's manifest, in hexadecimal digits: the device that observes."""
    made: datetime
    """Date and time of the content; no other time is in a document."""
    disclaimer: str

    def make(self, films: Sequence[SourceFilm], text: str) -> Document:
        """The document of a report's text, for its film or the films of its study.

        Raises NotPossibleError where a film hasn't got the identifiers that it needs, or films are of
        several studies or patients.
        """
        found = _of_one_study([film.identifiers for film in films])
        first = found[0]
        uid = instance_uid(
            self.identity,
            [(each.sop_instance, film.sha256) for each, film in zip(found, films, strict=True)],
            text,
        )
        images = _once((each.sop_class, each.sop_instance) for each in found)
        finding = finding_of(text)
        is_ascii = self.disclaimer.isascii() and finding.isascii()
        is_ascii = is_ascii and all(value.isascii() for value in first.values.values())
        parts = {
            # Where ASCII isn't enough, UTF-8: it has whatever characters film, report and disclaimer have.
            0x0008_0005: b"" if is_ascii else element(0x0008_0005, "CS", "ISO_IR 192"),
            0x0008_0018: element(0x0008_0018, "UI", uid),
            identifiers.STUDY_INSTANCE_UID: element(identifiers.STUDY_INSTANCE_UID, "UI", first.study),
            identifiers.SERIES_INSTANCE_UID: element(
                identifiers.SERIES_INSTANCE_UID, "UI", series_uid(self.identity, first.study)
            ),
            _EVIDENCE: sequence(_EVIDENCE, [_evidence(first.study, found)]),
            _CONTENT: sequence(_CONTENT, [*self._context, self._findings(finding, images), self._summary]),
            **{tag: element(tag, _KINDS[tag], value) for tag, value in first.values.items()},
            **self._fixed,
        }
        dataset = b"".join(parts[tag] for tag in sorted(parts))
        content = file(SOP_CLASS, uid, IMPLEMENTATION_CLASS, _version_name(), dataset)
        return Document(content, uid, first.left_out)

    @cached_property
    def _fixed(self) -> dict[int, bytes]:
        """Elements that all documents have in common, by tag."""
        day, time = f"{self.made.year:04}{self.made:%m%d}", f"{self.made:%H%M%S}"
        found = [
            (0x0008_0016, "UI", SOP_CLASS),
            (0x0008_0023, "DA", day),
            (0x0008_0033, "TM", time),
            (0x0008_0060, "CS", "SR"),
            (0x0008_0070, "LO", _PROGRAM),
            (0x0008_103E, "LO", _SERIES_DESCRIPTION),
            (0x0008_1090, "LO", _PROGRAM),
            (0x0018_1000, "LO", self.bundle),
            (0x0018_1020, "LO", __version__),
            (0x0020_0011, "IS", _SERIES_NUMBER),
            (0x0020_0013, "IS", "1"),
            (0x0040_A040, "CS", "CONTAINER"),
            (0x0040_A050, "CS", "SEPARATE"),
            (0x0040_A491, "CS", "COMPLETE"),
            (0x0040_A492, "LO", _COMPLETION),
            (0x0040_A493, "CS", "UNVERIFIED"),
            (0x0040_A496, "CS", "PRELIMINARY"),
        ]
        author = (
            element(0x0008_0070, "LO", _PROGRAM)
            + element(0x0008_0080, "LO")
            + sequence(0x0008_0082)
            + element(0x0008_1010, "SH")
            + element(0x0008_1090, "LO", _PROGRAM)
            + element(0x0018_1002, "UI", self._device_uid)
            + element(0x0040_A084, "CS", "DEV")
        )
        template = element(0x0008_0105, "CS", "DCMR") + element(0x0040_DB00, "CS", "2000")
        return {tag: element(tag, kind, value) for tag, kind, value in found} | {
            0x0008_1111: sequence(0x0008_1111),
            _CONCEPT_NAME: sequence(_CONCEPT_NAME, [_code("18748-4", "LN", "Diagnostic Imaging Report")]),
            0x0040_A078: sequence(0x0040_A078, [author]),
            0x0040_A372: sequence(0x0040_A372),
            0x0040_A504: sequence(0x0040_A504, [template]),
        }

    @property
    def _device_uid(self) -> str:
        return _uid("device", self.bundle)

    @cached_property
    def _context(self) -> tuple[bytes, ...]:
        """Language (TID 1204) and observer (TIDs 1002 and 1004)."""
        language = _code("121049", "DCM", "Language of Content Item and Descendants")
        return (
            _code_item("HAS CONCEPT MOD", language, _code("en", "RFC5646", "English")),
            _code_item(_CONTEXT, _code("121005", "DCM", "Observer Type"), _code("121007", "DCM", "Device")),
            _item(
                _CONTEXT,
                "UIDREF",
                _code("121012", "DCM", "Device Observer UID"),
                {0x0040_A124: element(0x0040_A124, "UI", self._device_uid)},
            ),
            *(
                _text_item(_CONTEXT, _code(code, "DCM", f"Device Observer {meaning}"), value)
                for code, meaning, value in (
                    ("121013", "Name", _PROGRAM),
                    ("121014", "Manufacturer", _PROGRAM),
                    ("121015", "Model Name", f"{_PROGRAM} {__version__}"),
                    ("121016", "Serial Number", self.bundle),
                )
            ),
        )

    @cached_property
    def _summary(self) -> bytes:
        comment = _text_item(_CONTAINS, _code("121106", "DCM", "Comment"), printable(self.disclaimer))
        return _container(_code("55112-7", "LN", "Summary"), [comment])

    def _findings(self, text: str, images: Iterable[tuple[str, str]]) -> bytes:
        sources = [_image_item(sop_class, sop_instance) for sop_class, sop_instance in images]
        inferred = {_CONTENT: sequence(_CONTENT, sources)}
        finding = _text_item(_CONTAINS, _code("121071", "DCM", "Finding"), text, inferred)
        return _container(_code("59776-5", "LN", "Findings"), [finding])


def finding_of(text: str) -> str:
    """What a document says for a report's text; spaces at the end are no part of a value (PS3.5, 6.2)."""
    return (PREFIX + printable(text)).rstrip(" ")


def instance_uid(identity: str, films: Iterable[tuple[str, bytes]], text: str) -> str:
    """SOPInstanceUID of a document; `films`: SOPInstanceUID and sha256 of the file of each.

    The words are in it because one film may be reported twice in a run, with other indications.
    """
    names = [name for uid, sha256 in films for name in (uid, sha256.hex())]
    words = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
    return _uid(identity, "instance", *names, words)


def series_uid(identity: str, study: str) -> str:
    """SeriesInstanceUID of all documents of a study that have this identity."""
    return _uid(identity, "series", study)


@dataclass(frozen=True)
class ReadDocument:
    """What a document says, as far as it can be derived from its film and report."""

    uid: str
    series: str
    study: str
    films: tuple[str, ...]
    """SOPInstanceUIDs of the films that are its evidence."""
    finding: str
    """Its text, `PREFIX` included."""


def read_document(content: bytes) -> ReadDocument:
    """Read what `DocumentMaker.make` gave. Raises ValueError where it is anything else."""
    found = {each.tag: each for each in elements(dataset_of(content))}
    try:
        return ReadDocument(
            uid=found[0x0008_0018].text,
            series=found[identifiers.SERIES_INSTANCE_UID].text,
            study=found[identifiers.STUDY_INSTANCE_UID].text,
            films=tuple(_evidence_films(found[_EVIDENCE])),
            finding=_finding(found[_CONTENT]),
        )
    except KeyError as error:
        raise ValueError(f"it has no element {error.args[0]:08X}") from None


def _evidence_films(evidence: Element) -> Iterable[str]:
    for study in evidence.items():
        for series in _sequence(study, _REFERENCED_SERIES).items():
            for film in _sequence(series, _REFERENCED_SOPS).items():
                yield _sequence(film, _REFERENCED_INSTANCE).text


def _finding(content: Element) -> str:
    """The text of the only TEXT in the only container but one."""
    containers = [item for item in content.items() if any(each.tag == _CONTENT for each in elements(item))]
    if not containers:
        raise ValueError("it has no findings")
    (finding, *_) = _sequence(containers[0], _CONTENT).items()
    return _sequence(finding, _TEXT_VALUE).text


def _sequence(item: bytes, tag: int) -> Element:
    """The element of this tag. Raises KeyError."""
    return {each.tag: each for each in elements(item)}[tag]


def _of_one_study(found: Sequence[Identifiers | None]) -> list[FilmAttributes]:
    """Raises NotPossibleError, which says which film it is about."""
    films: list[FilmAttributes] = []
    patients = []
    for place, each in enumerate(found):
        if each is None:
            raise NotPossibleError(NotPossible.NOT_DICOM, place)
        try:
            films.append(film_attributes(each))
        except NotPossibleError as error:
            raise NotPossibleError(error.reason, place) from None
        if films[-1].study != films[0].study:
            raise NotPossibleError(NotPossible.SEVERAL_STUDIES, place)
        # Of IDs that aren't valid the bytes have to be the same.
        patients.append(films[-1].values[identifiers.PATIENT_ID] or each.get(identifiers.PATIENT_ID, b""))
        if patients[-1] != patients[0]:
            raise NotPossibleError(NotPossible.SEVERAL_PATIENTS, place)
    return films


def _evidence(study: str, films: Sequence[FilmAttributes]) -> bytes:
    series = []
    for uid in _once(film.series for film in films):
        its_films = _once((film.sop_class, film.sop_instance) for film in films if film.series == uid)
        sops = sequence(_REFERENCED_SOPS, [_reference(*film) for film in its_films])
        series.append(sops + element(identifiers.SERIES_INSTANCE_UID, "UI", uid))
    return sequence(_REFERENCED_SERIES, series) + element(identifiers.STUDY_INSTANCE_UID, "UI", study)


def _reference(sop_class: str, sop_instance: str) -> bytes:
    return element(0x0008_1150, "UI", sop_class) + element(_REFERENCED_INSTANCE, "UI", sop_instance)


def _code(value: str, scheme: str, meaning: str) -> bytes:
    return (
        element(0x0008_0100, "SH", value)
        + element(0x0008_0102, "SH", scheme)
        + element(0x0008_0104, "LO", meaning)
    )


def _item(relationship: str, kind: str, concept: bytes, values: dict[int, bytes]) -> bytes:
    """A content item, with its name where it has one."""
    parts = {
        0x0040_A010: element(0x0040_A010, "CS", relationship),
        0x0040_A040: element(0x0040_A040, "CS", kind),
        _CONCEPT_NAME: sequence(_CONCEPT_NAME, [concept]),
        **values,
    }
    return b"".join(parts[tag] for tag in sorted(parts))


def _text_item(relationship: str, concept: bytes, text: str, values: dict[int, bytes] | None = None) -> bytes:
    return _item(
        relationship, "TEXT", concept, {_TEXT_VALUE: element(_TEXT_VALUE, "UT", text), **(values or {})}
    )


def _code_item(relationship: str, concept: bytes, code: bytes) -> bytes:
    return _item(relationship, "CODE", concept, {0x0040_A168: sequence(0x0040_A168, [code])})


def _image_item(sop_class: str, sop_instance: str) -> bytes:
    source = _code("121112", "DCM", "Source of Measurement")
    sops = sequence(_REFERENCED_SOPS, [_reference(sop_class, sop_instance)])
    # Of a maker's own class no reader can know that it is one of images; some then refuse the document.
    kind = "IMAGE" if sop_class.startswith(_STORAGE_CLASSES) else "COMPOSITE"
    return _item("INFERRED FROM", kind, source, {_REFERENCED_SOPS: sops})


def _container(heading: bytes, items: Sequence[bytes]) -> bytes:
    values = {0x0040_A050: element(0x0040_A050, "CS", "SEPARATE"), _CONTENT: sequence(_CONTENT, items)}
    return _item(_CONTAINS, "CONTAINER", heading, values)


_KINDS: Final = {
    identifiers.STUDY_DATE: "DA",
    identifiers.STUDY_TIME: "TM",
    identifiers.ACCESSION_NUMBER: "SH",
    identifiers.REFERRING_PHYSICIAN_NAME: "PN",
    identifiers.PATIENT_NAME: "PN",
    identifiers.PATIENT_ID: "LO",
    identifiers.PATIENT_BIRTH_DATE: "DA",
    identifiers.PATIENT_SEX: "CS",
    identifiers.STUDY_ID: "SH",
}


def _once(each: Iterable[Item]) -> list[Item]:
    """Each once, in order."""
    return list(dict.fromkeys(each))


def _uid(*names: str) -> str:
    """A UID for these names, the same for the same (PS3.5, B.2)."""
    return f"2.25.{uuid5(_NAMESPACE, '|'.join(names)).int}"


def _version_name() -> str:
    return f"{_PROGRAM.upper()} {__version__}"[:16]
