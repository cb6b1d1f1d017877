from io import BytesIO

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.structured_report.encoding import dataset_of, element, elements, file, sequence

ITEMS = st.lists(st.text(st.characters(codec="ascii", categories=["L"]), max_size=5), max_size=3)

LONG = ("OB", "SQ", "UT")


def _file(dataset: bytes) -> bytes:
    return file("1.2.3", "1.2.3.4", "1.2.5", "TEST", dataset)


@given(ITEMS, st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=70000 // 4))
def test_pydicom_reads_what_is_written(items: list[str], text: str) -> None:
    dataset = (
        element(0x0008_0005, "CS", "ISO_IR 192")
        + sequence(0x0040_A043, [element(0x0008_0104, "LO", item) for item in items])
        + element(0x0040_A160, "UT", text)
    )
    read = pydicom.dcmread(BytesIO(_file(dataset)))
    assert [item.CodeMeaning for item in read.ConceptNameCodeSequence] == items
    assert read.TextValue == text.rstrip("\0 ")
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert read.file_meta.FileMetaInformationGroupLength == len(_file(b"")) - 132 - 12


@given(ITEMS, st.text(max_size=20))
def test_elements_are_read_back(items: list[str], text: str) -> None:
    dataset = sequence(0x0040_A043, [element(0x0008_0104, "LO", item) for item in items]) + element(
        0x0040_A160, "UT", text
    )
    first, second = elements(dataset_of(_file(dataset)))
    assert [next(elements(item)).text for item in first.items()] == items
    assert (second.tag, second.kind, second.text) == (0x0040_A160, "UT", text.rstrip("\0 "))


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_or_read_to_their_end(content: bytes) -> None:
    try:
        found = sum(len(each.value) + (12 if each.kind in LONG else 8) for each in elements(content))
    except ValueError:
        return
    assert found == len(content)


def test_what_is_cut_off_or_out_of_order_is_refused() -> None:
    one, two = element(0x0008_0016, "UI", "1.2"), element(0x0008_0018, "UI", "1.2")
    for wrong in (one[:-1], one[:5], two + one, one + one):
        with pytest.raises(ValueError, match="cut off"):
            list(elements(wrong))
    for wrong in (b"", b"DICM", _file(one)[:140]):
        with pytest.raises(ValueError, match=r"cut off|begin"):
            dataset_of(wrong)
    inner = sequence(0x0040_A043, [one])
    for wrong in (inner[:12] + b"\0" * (len(inner) - 12), inner[:16] + b"\xff\0\0\0" + inner[20:]):
        with pytest.raises(ValueError, match="item"):
            list(next(elements(wrong)).items())


def test_short_values_have_a_limit() -> None:
    with pytest.raises(ValueError, match="70000"):
        element(0x0010_0010, "PN", "x" * 70000)
