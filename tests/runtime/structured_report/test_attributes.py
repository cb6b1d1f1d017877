import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.films import identifiers
from cxrscribe.films.identifiers import read_identifiers
from cxrscribe.structured_report.attributes import (
    REASONS,
    NotPossible,
    NotPossibleError,
    film_attributes,
)
from support.dicom_file import NAME, NUMBER
from support.identified_film import IDENTIFIERS, identified_film

ROUGH = st.binary(max_size=80) | st.text(max_size=30).map(str.encode)


def test_valid_values_are_taken_over() -> None:
    found = film_attributes(read_identifiers(identified_film(PatientBirthDate="18950101")))
    assert found.study == IDENTIFIERS["StudyInstanceUID"]
    assert found.series == IDENTIFIERS["SeriesInstanceUID"]
    assert found.sop_instance == IDENTIFIERS["SOPInstanceUID"]
    assert list(found.values.values()) == [
        "19010203",
        "101112.5",
        "A-17",
        "Virchow^Rudolf",
        NAME,
        NUMBER,
        "18950101",
        "F",
        "S-1",
    ]
    assert found.left_out == ()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("StudyInstanceUID", NotPossible.NO_STUDY),
        ("SeriesInstanceUID", NotPossible.NO_SERIES),
        ("SOPInstanceUID", NotPossible.NO_INSTANCE),
        ("SOPClassUID", NotPossible.NO_CLASS),
    ],
)
@pytest.mark.parametrize(
    "value", [b"", b"1.2.03", b"1..2", b"1.2.a", b"a name", b"1." + b"2" * 63, b"0.0", b"9.9"]
)
def test_uids_are_needed(name: str, reason: NotPossible, value: bytes) -> None:
    tags = {
        "StudyInstanceUID": identifiers.STUDY_INSTANCE_UID,
        "SeriesInstanceUID": identifiers.SERIES_INSTANCE_UID,
        "SOPInstanceUID": identifiers.SOP_INSTANCE_UID,
        "SOPClassUID": identifiers.SOP_CLASS_UID,
    }
    found = dict(read_identifiers(identified_film()))
    found[tags[name]] = value
    with pytest.raises(NotPossibleError) as caught:
        film_attributes(found)
    assert caught.value.reason == reason
    assert str(caught.value) == REASONS[reason]


@pytest.mark.parametrize(
    ("tag", "value", "keyword"),
    [
        (identifiers.STUDY_DATE, b"19010230", "StudyDate"),
        (identifiers.STUDY_DATE, b"1901.02.03", "StudyDate"),
        (identifiers.STUDY_TIME, b"25", "StudyTime"),
        (identifiers.STUDY_TIME, b"10:11:12", "StudyTime"),
        (identifiers.ACCESSION_NUMBER, b"12345678901234567", "AccessionNumber"),
        (identifiers.REFERRING_PHYSICIAN_NAME, b"a=b=c=d", "ReferringPhysicianName"),
        (identifiers.PATIENT_NAME, b"a^b^c^d^e^f", "PatientName"),
        (identifiers.PATIENT_NAME, b"x" * 65, "PatientName"),
        (identifiers.PATIENT_NAME, b"x" * 5000, "PatientName"),
        (identifiers.PATIENT_NAME, b"One\\Two", "PatientName"),
        (identifiers.PATIENT_NAME, b"M\xfcller", "PatientName"),
        (identifiers.PATIENT_ID, b"1\r\n2", "PatientID"),
        (identifiers.PATIENT_ID, b"\x1b(B ", "PatientID"),
        (identifiers.PATIENT_BIRTH_DATE, b"68", "PatientBirthDate"),
        (identifiers.PATIENT_SEX, b"Q", "PatientSex"),
        (identifiers.STUDY_ID, b"\x1b[31m", "StudyID"),
    ],
)
def test_invalid_values_are_left_empty_and_named(tag: int, value: bytes, keyword: str) -> None:
    found = dict(read_identifiers(identified_film()))
    found[tag] = value
    attributes = film_attributes(found)
    assert attributes.left_out == (keyword,)
    assert attributes.values[tag] == ""


def test_values_that_a_film_lacks_are_empty_and_not_left_out() -> None:
    found = film_attributes(read_identifiers(identified_film(PatientName=None, StudyDate=None, StudyID="")))
    assert found.left_out == ()
    assert found.values[identifiers.PATIENT_NAME] == found.values[identifiers.STUDY_DATE] == ""


@given(st.dictionaries(st.sampled_from(identifiers.TAGS), ROUGH))
def test_hostile_values_give_attributes_or_a_reason(found: dict[int, bytes]) -> None:
    try:
        attributes = film_attributes(found)
    except NotPossibleError:
        return
    for value in attributes.values.values():
        assert "\\" not in value
        assert all(character.isprintable() or ord(character) > 0xA0 for character in value)
