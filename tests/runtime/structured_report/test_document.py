import hashlib
import shutil
import subprocess
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from conftest import SHARED_DATA
from cxrscribe.disclaimer import DISCLAIMER
from cxrscribe.films import identifiers
from cxrscribe.films.identifiers import read_identifiers
from cxrscribe.structured_report.attributes import NotPossible, NotPossibleError
from cxrscribe.structured_report.document import (
    PREFIX,
    SOP_CLASS,
    Document,
    DocumentMaker,
    SourceFilm,
    finding_of,
    instance_uid,
    read_document,
    series_uid,
)
from support.identified_film import INSTANCE, SERIES, STUDY, identified_film
from support.skips import skip_or_fail

MAKER = DocumentMaker("a" * 64, "b" * 64, datetime(2026, 3, 4, 5, 6, 7), DISCLAIMER)  # noqa: DTZ001 (as written)
TEXT = "The lungs are clear. No effusion."
REAL_FILMS = sorted((SHARED_DATA / "films" / "dicom").glob("*.dcm"))
JAPANESE = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def source(content: bytes) -> SourceFilm:
    return SourceFilm(read_identifiers(content), hashlib.sha256(content).digest())


def made(content: bytes, text: str = TEXT, maker: DocumentMaker = MAKER) -> Document:
    return maker.make([source(content)], text)


def read(document: Document) -> Dataset:
    return pydicom.dcmread(BytesIO(document.content))


def program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"there is no {name}; install {package}")
    return found


def validated(document: Document, folder: Path) -> list[str]:
    """What dciodvfy says is wrong."""
    path = folder / "sr.dcm"
    path.write_bytes(document.content)
    ran = subprocess.run(
        [program("dciodvfy", "dicom3tools"), str(path)], capture_output=True, text=True, check=False
    )
    said = (ran.stdout + ran.stderr).splitlines()
    assert "BasicTextSR" in said
    return [line for line in said if line.startswith("Error")]


def dumped(document: Document, folder: Path) -> str:
    """What dsrdump shows."""
    path = folder / "sr.dcm"
    path.write_bytes(document.content)
    ran = subprocess.run(
        [program("dsrdump", "dcmtk"), "+Pl", "+U8", "+Pu", str(path)], capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    remarks = ran.stderr.decode("utf-8").splitlines()
    assert not [line for line in remarks if "VR checker does not support" not in line]  # its own limit
    return ran.stdout.decode("utf-8")


def tree(item: Dataset) -> list[Any]:
    """Relationship, kind, name, value and what is below, of a content item."""
    name = item.ConceptNameCodeSequence[0]
    value: Any = {
        "TEXT": lambda: str(item.TextValue),
        "CODE": lambda: str(item.ConceptCodeSequence[0].CodeValue),
        "UIDREF": lambda: "UID",
        "IMAGE": lambda: str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID),
        "CONTAINER": lambda: str(item.ContinuityOfContent),
    }[item.ValueType]()
    coded = f"{name.CodeValue} {name.CodingSchemeDesignator}"
    return [
        item.get("RelationshipType"),
        item.ValueType,
        coded,
        value,
        *(tree(each) for each in item.get("ContentSequence", [])),
    ]


def test_content_is_that_of_template_2000() -> None:
    found = read(made(identified_film()))
    context = "HAS OBS CONTEXT"
    assert tree(found) == [
        None,
        "CONTAINER",
        "18748-4 LN",
        "SEPARATE",
        ["HAS CONCEPT MOD", "CODE", "121049 DCM", "en"],
        [context, "CODE", "121005 DCM", "121007"],
        [context, "UIDREF", "121012 DCM", "UID"],
        [context, "TEXT", "121013 DCM", "cxrscribe"],
        [context, "TEXT", "121014 DCM", "cxrscribe"],
        [context, "TEXT", "121015 DCM", found.ContentSequence[5].TextValue],
        [context, "TEXT", "121016 DCM", "b" * 64],
        [
            "CONTAINS",
            "CONTAINER",
            "59776-5 LN",
            "SEPARATE",
            [
                "CONTAINS",
                "TEXT",
                "121071 DCM",
                PREFIX + TEXT,
                ["INFERRED FROM", "IMAGE", "121112 DCM", INSTANCE],
            ],
        ],
        [
            "CONTAINS",
            "CONTAINER",
            "55112-7 LN",
            "SEPARATE",
            ["CONTAINS", "TEXT", "121106 DCM", DISCLAIMER],
        ],
    ]
    template = found.ContentTemplateSequence[0]
    assert (template.MappingResource, template.TemplateIdentifier) == ("DCMR", "2000")


def test_it_is_a_draft_by_a_device_and_says_of_which_film() -> None:
    document = made(identified_film())
    found = read(document)
    assert found.SOPClassUID == found.file_meta.MediaStorageSOPClassUID == SOP_CLASS
    assert found.SOPInstanceUID == found.file_meta.MediaStorageSOPInstanceUID == document.uid
    assert (found.PreliminaryFlag, found.CompletionFlag, found.VerificationFlag) == (
        "PRELIMINARY",
        "COMPLETE",
        "UNVERIFIED",
    )
    assert "VerifyingObserverSequence" not in found
    author = found.AuthorObserverSequence[0]
    assert author.ObserverType == "DEV"
    assert author.DeviceUID == found.ContentSequence[2].UID
    assert (found.ContentDate, found.ContentTime) == ("20260304", "050607")
    evidence = found.CurrentRequestedProcedureEvidenceSequence[0]
    series = evidence.ReferencedSeriesSequence[0]
    assert (evidence.StudyInstanceUID, series.SeriesInstanceUID) == (STUDY, SERIES)
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == INSTANCE
    assert found.StudyInstanceUID == STUDY
    assert found.SeriesInstanceUID != SERIES


def test_the_same_film_run_and_words_give_the_same_bytes() -> None:
    assert made(identified_film()) == made(identified_film())
    again = DocumentMaker(MAKER.identity, MAKER.bundle, MAKER.made, MAKER.disclaimer)
    assert made(identified_film(), maker=again) == made(identified_film())


def test_another_film_run_or_word_gives_another_uid() -> None:
    one = made(identified_film())
    other_run = DocumentMaker("c" * 64, MAKER.bundle, MAKER.made, MAKER.disclaimer)
    others = [
        made(identified_film(1)),  # which bears the same SOPInstanceUID
        made(identified_film(SOPInstanceUID="1.2.3.9")),
        made(identified_film(), TEXT + " Stable."),
        made(identified_film(), maker=other_run),
    ]
    assert len({document.uid for document in [one, *others]}) == 5
    series = [str(read(document).SeriesInstanceUID) for document in [one, *others]]
    assert series == [series[0]] * 4 + [series_uid("c" * 64, STUDY)]


def test_uids_can_be_derived_from_what_it_says() -> None:
    content = identified_film()
    document = made(content)
    found = read_document(document.content)
    sha256 = hashlib.sha256(content).digest()
    assert found.uid == instance_uid(MAKER.identity, [(found.films[0], sha256)], TEXT) == document.uid
    assert found.series == series_uid(MAKER.identity, found.study)
    assert found.finding == PREFIX + TEXT
    assert len(found.uid) <= 64


def test_all_films_of_a_study_are_evidence() -> None:
    contents = [
        identified_film(1),
        identified_film(2, SOPInstanceUID="1.2.3.5"),
        identified_film(3, SOPInstanceUID="1.2.3.6", SeriesInstanceUID="1.2.3"),
        identified_film(1),
    ]
    document = MAKER.make([source(content) for content in contents], TEXT)
    found = read(document)
    series = found.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    named = {
        str(each.SeriesInstanceUID): [str(sop.ReferencedSOPInstanceUID) for sop in each.ReferencedSOPSequence]
        for each in series
    }
    assert named == {SERIES: [INSTANCE, "1.2.3.5"], "1.2.3": ["1.2.3.6"]}
    assert read_document(document.content).films == (INSTANCE, "1.2.3.5", "1.2.3.6")
    finding = found.ContentSequence[7].ContentSequence[0]
    assert len(finding.ContentSequence) == 3


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"StudyInstanceUID": "1.2.9"}, NotPossible.SEVERAL_STUDIES),
        ({"PatientID": "someone else"}, NotPossible.SEVERAL_PATIENTS),
        ({"SOPInstanceUID": ""}, NotPossible.NO_INSTANCE),
    ],
)
def test_films_that_do_not_belong_together_have_none(attributes: dict[str, str], reason: NotPossible) -> None:
    films = [source(identified_film()), source(identified_film(1, **attributes))]
    with pytest.raises(NotPossibleError) as caught:
        MAKER.make(films, TEXT)
    assert (caught.value.reason, caught.value.place) == (reason, 1)


def test_patients_whose_ids_are_not_valid_are_told_apart() -> None:
    film = source(identified_film())
    first, second = (
        SourceFilm(dict(film.identifiers) | {identifiers.PATIENT_ID: value}, film.sha256)
        for value in (b"M\xfcller 1", b"M\xfcller 2")
    )
    assert MAKER.make([first, first], TEXT).left_out == ("PatientID",)
    with pytest.raises(NotPossibleError) as caught:
        MAKER.make([first, second], TEXT)
    assert caught.value.reason == NotPossible.SEVERAL_PATIENTS


@pytest.mark.parametrize(
    ("sop_class", "kind"),
    [("1.2.840.10008.5.1.4.1.1.7", "IMAGE"), ("1.2.392.200036.9125.1.1.2", "COMPOSITE")],
)
def test_films_of_a_makers_own_class_have_documents_that_every_reader_takes(
    sop_class: str, kind: str, tmp_path: Path
) -> None:
    film = source(identified_film())
    found = dict(film.identifiers) | {identifiers.SOP_CLASS_UID: sop_class.encode()}
    document = MAKER.make([SourceFilm(found, film.sha256)], TEXT)
    finding = read(document).ContentSequence[7].ContentSequence[0]
    assert finding.ContentSequence[0].ValueType == kind
    assert validated(document, tmp_path) == []
    assert TEXT in dumped(document, tmp_path)


@pytest.mark.parametrize("year", [1, 385, 2026])
def test_years_have_four_digits(year: int) -> None:
    maker = DocumentMaker("a" * 64, "b" * 64, datetime(year, 1, 2, 3, 4, 5), "")  # noqa: DTZ001 (as written)
    found = read(made(identified_film(), maker=maker))
    assert (found.ContentDate, found.ContentTime) == (f"{year:04}0102", "030405")


@pytest.mark.parametrize(
    ("terms", "name"),
    [
        (None, "Roentgen^Anna"),
        ("ISO_IR 192", "Żółć^Łucja=山田"),
        ("ISO_IR 100", "Röntgen^Bertha"),
        (["", "ISO 2022 IR 87"], JAPANESE),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
        ("GB18030", "Wang^XiaoDong=王^小东"),
    ],
)
def test_names_stay_the_same_characters_for_every_reader(
    terms: str | list[str] | None, name: str, tmp_path: Path
) -> None:
    content = identified_film(SpecificCharacterSet=terms or "", PatientName=name, PatientID="ID")
    document = made(content)
    assert document.left_out == ()
    found = read(document)
    assert str(found.PatientName) == name
    assert ("SpecificCharacterSet" in found) == (not name.isascii())
    assert validated(document, tmp_path) == []
    assert name in dumped(document, tmp_path)


def test_text_and_disclaimer_may_have_any_characters(tmp_path: Path) -> None:
    maker = DocumentMaker("a" * 64, "b" * 64, MAKER.made, "Entwurf, ungeprüft.")
    document = made(identified_film(), "Größe 山田\x1b[31m \ud800 \\ ^ =", maker)
    found = read_document(document.content)
    assert found.finding == PREFIX + r"Größe 山田\x1b[31m \ud800 \ ^ ="
    assert str(read(document).ContentSequence[7].ContentSequence[0].TextValue) == found.finding
    assert validated(document, tmp_path) == []
    assert "Entwurf, ungeprüft." in dumped(document, tmp_path)


def test_invalid_values_are_left_empty_and_said(tmp_path: Path) -> None:
    film = source(identified_film(PatientName="a^b^c^d^e^f^g"))
    found = dict(film.identifiers) | {
        identifiers.PATIENT_SEX: b"unknown",
        identifiers.STUDY_TIME: b"10:11",
    }
    document = MAKER.make([SourceFilm(found, film.sha256)], TEXT)
    assert document.left_out == ("StudyTime", "PatientName", "PatientSex")
    assert validated(document, tmp_path) == []


FILM = source(identified_film())
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\\^=")


@given(name=st.text(CHARACTERS, max_size=64))
def test_any_name_of_utf_8_comes_through(name: str) -> None:
    found = dict(FILM.identifiers) | {
        identifiers.SPECIFIC_CHARACTER_SET: b"ISO_IR 192",
        identifiers.PATIENT_NAME: name.encode("utf-8"),
    }
    document = MAKER.make([SourceFilm(found, FILM.sha256)], TEXT)
    assert document.left_out == ()
    assert str(read(document).PatientName) == name.rstrip(" ")


TERMS = st.sampled_from([b"", b"ISO_IR 192", b"\\ISO 2022 IR 87", b"ISO_IR 100", b"?"])


@given(st.binary(max_size=60), TERMS)
def test_any_bytes_of_a_name_give_a_document_that_reads(value: bytes, terms: bytes) -> None:
    found = dict(FILM.identifiers) | {
        identifiers.SPECIFIC_CHARACTER_SET: terms,
        identifiers.PATIENT_NAME: value,
        identifiers.REFERRING_PHYSICIAN_NAME: value,
    }
    document = MAKER.make([SourceFilm(found, FILM.sha256)], TEXT)
    read_back = read(document)
    assert str(read_back.PatientName) == str(read_back.ReferringPhysicianName)
    assert ("PatientName" in document.left_out) <= (str(read_back.PatientName) == "")


@pytest.mark.parametrize("text", ["", "The lungs are clear. ", "  "])
def test_spaces_at_the_end_are_padding(text: str) -> None:
    document = made(identified_film(), text)
    assert read_document(document.content).finding == finding_of(text)
    assert finding_of(text) == str(read(document).ContentSequence[7].ContentSequence[0].TextValue)


def test_damaged_documents_are_refused() -> None:
    content = made(identified_film()).content
    for end in (0, 100, 140, 400, len(content) - 1):
        with pytest.raises(ValueError, match=r"cut off|begin|element"):
            read_document(content[:end])


@pytest.mark.skipif(not REAL_FILMS, reason="the real films aren't here")
def test_real_films_have_valid_documents(tmp_path: Path) -> None:
    documents = [made(path.read_bytes()) for path in REAL_FILMS]
    for document in documents:
        assert validated(document, tmp_path) == []
        assert PREFIX.strip() in dumped(document, tmp_path)
        assert tree(read(document))
    instances = [read_document(document.content).films for document in documents]
    assert len(set(instances)) == 2  # two of the three bear one SOPInstanceUID
    assert len({document.uid for document in documents}) == 3
