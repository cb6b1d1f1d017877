"""Identifiers of DICOM films: what a file has, from its header alone, whoever reads it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

from cxrscribe.errors import FilmError, MissingExtraError, Reason
from cxrscribe.films import identifiers
from cxrscribe.films.identifiers import MOST_VALUE_BYTES, identifiers_of, read_identifiers
from cxrscribe.films.isolation import Isolation
from support.archive_films import small_film
from support.compressed import jpeg
from support.dicom_file import NAME, NUMBER, RAMP, dicom, encapsulated, written
from support.identified_film import IDENTIFIERS, identified_film

ALL = Isolation("all")
JAPANESE: dict[str, Any] = {
    "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    "PatientName": "Yamada^Tarou=山田^太郎",
}


def stripped(found: identifiers.Identifiers) -> dict[int, bytes]:
    return {tag: value.rstrip(b"\0 ") for tag, value in found.items()}


@pytest.mark.parametrize(
    "syntax",
    [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit],
)
def test_every_syntax_gives_the_same(syntax: str | None) -> None:
    expected = stripped(read_identifiers(identified_film()))
    assert expected[identifiers.PATIENT_NAME] == NAME.encode()
    assert expected[identifiers.PATIENT_ID] == NUMBER.encode()
    if syntax is None:
        return
    if syntax == JPEGBaseline8Bit:
        content = encapsulated(jpeg(RAMP), RAMP, syntax, **IDENTIFIERS)
    else:
        content = written(dicom(RAMP, syntax=syntax, **IDENTIFIERS))
    assert stripped(read_identifiers(content)) == expected
    assert stripped(read_identifiers(content, ALL)) == expected


def test_character_sets_and_bytes_come_through_from_another_process() -> None:
    content = identified_film(**JAPANESE)
    found = read_identifiers(content)
    assert found == read_identifiers(content, ALL)
    assert found[identifiers.SPECIFIC_CHARACTER_SET].strip() == b"\\ISO 2022 IR 87"
    assert b"\x1b$B" in found[identifiers.PATIENT_NAME]


def test_what_a_film_lacks_is_not_there() -> None:
    found = read_identifiers(identified_film(StudyID=None, PatientName=None))
    assert identifiers.STUDY_ID not in found
    assert identifiers.PATIENT_NAME not in found
    assert identifiers.SPECIFIC_CHARACTER_SET not in found


@pytest.mark.filterwarnings("ignore:The PN component length")
def test_values_have_a_limit() -> None:
    found = read_identifiers(identified_film(PatientName="x" * 50_000))
    assert len(found[identifiers.PATIENT_NAME]) == MOST_VALUE_BYTES + 1


def test_pixels_are_not_needed_and_other_files_are_refused() -> None:
    content = identified_film()
    place = content.index(b"\xe0\x7f\x10\x00")
    assert read_identifiers(content[:place]) == read_identifiers(content)
    for isolation in (Isolation(), ALL):
        with pytest.raises(FilmError, match="no DICOM file") as caught:
            read_identifiers(small_film(0), isolation)
        assert caught.value.reason == Reason.UNSUPPORTED


@pytest.mark.parametrize("before", [0, 1 << 20], ids=["file", "first MB"])
def test_no_value_is_half_of_what_the_film_says(before: int) -> None:
    content = identified_film(StudyID="STUDY-17")
    place = content.index(b"\x20\x00\x0d\x00")
    whole = read_identifiers(content)
    group_20 = content[place:]
    for cut in range(120):  # behind so many bytes of the group
        if before:
            private = b"\x19\x00\x10\x00LO\4\0DRAW\x19\x00\x01\x10OB\0\0"
            size = before - place - len(private) - 4 - cut
            start = content[:place] + private + size.to_bytes(4, "little") + bytes(size) + group_20
            assert start.index(group_20) == before - cut
        else:
            start = content[:place] + group_20[:cut]
        try:
            found = read_identifiers(start)
        except FilmError:
            continue
        assert found.items() <= whole.items()


def test_without_the_extra_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pydicom.filereader", None)
    with pytest.raises(MissingExtraError, match="dicom"):
        identifiers_of(identified_film())


@settings(max_examples=300)
@given(data=st.data())
def test_damaged_headers_are_read_or_an_error_that_names_nobody(data: st.DataObject) -> None:
    content = bytearray(identified_film()[:800])
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(140, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(160, len(content)))]
    try:
        found = identifiers_of(bytes(content))
    except FilmError as error:
        said, found = str(error), {}
    else:
        said = ""
    assert NAME not in said
    assert all(isinstance(value, bytes) and len(value) <= MOST_VALUE_BYTES + 1 for value in found.values())


def test_nested_sequences_cost_the_film_only() -> None:
    start = identified_film()
    place = start.index(b"\x08\x00\x18\x00")
    nested = b"\x08\x00\x17\x00SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000
    with pytest.raises(FilmError, match="damaged"):
        read_identifiers(start[:place] + nested + start[place:])
