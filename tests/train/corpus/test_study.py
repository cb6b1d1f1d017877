from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrscribe.errors import InputError
from cxrscribe_train.corpus.study import (
    MAX_XML_BYTES,
    MAX_XML_DEPTH,
    Study,
    parse_study,
    study_of,
    write_study,
)

STUDY = Study(
    study_id="CXR12",
    image_ids=("CXR12_IM-0001-1001", "CXR12_IM-0001-2001"),
    findings="Heart & lungs are <normal>. No effusion.",
    impression="Normal chest.",
    indication="Cough",
    comparison="None.",
    mesh=("Opacity/lung/base/left", "Calcinosis/aorta"),
)


def test_written_study_reads_back_the_same() -> None:
    assert parse_study(write_study(STUDY), "12.xml") == STUDY


words = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Z")), min_size=1).filter(
    lambda word: word.split() == [word] and not set(word) & {"\ufffe", "\uffff"}
)
texts = st.lists(words, max_size=5).map(" ".join)
headings = texts.filter(lambda text: text and ";" not in text)


@given(
    number=st.integers(0, 10**6),
    images=st.lists(
        st.text(string.ascii_letters + string.digits + "-_", min_size=1), unique=True, max_size=3
    ),
    findings=texts,
    impression=texts,
    mesh=st.lists(headings, max_size=3),
)
def test_any_study_survives_writing(
    number: int, images: list[str], findings: str, impression: str, mesh: list[str]
) -> None:
    study = Study(
        f"CXR{number}",
        tuple(f"CXR{number}_{image}" for image in images),
        findings,
        impression,
        mesh=tuple(mesh),
    )
    assert parse_study(write_study(study), "x.xml") == study


@pytest.mark.parametrize("text", ["bell \x07", "two  spaces", " outer", "line\nbreak"])
def test_a_text_that_xml_would_change_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"CXR1.*control characters"):
        write_study(Study("CXR1", findings=text))


def test_white_space_is_collapsed_and_parts_of_one_label_join() -> None:
    xml = b"""<eCitation><uId id="CXR3"/><AbstractText Label="FINDINGS">
        Heart is   normal.</AbstractText><AbstractText Label="findings">Lungs <b>are</b>
        clear.</AbstractText><AbstractText Label="IMPRESSION"/><MeSH><major> normal
        </major><major/><automatic>Lung</automatic></MeSH></eCitation>"""
    study = parse_study(xml, "3.xml")
    assert study.findings == "Heart is normal. Lungs are clear."
    assert study.impression == ""
    assert study.mesh == ("normal",)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&b;</AbstractText></eCitation>"""
OUTSIDE = b"""<!DOCTYPE b [<!ENTITY a SYSTEM "file:///etc/hostname">]>
<eCitation><uId id="CXR1"/><AbstractText Label="FINDINGS">&a;</AbstractText></eCitation>"""
PARAMETER = b"""<!DOCTYPE b [<!ENTITY % a SYSTEM "http://127.0.0.1/x.dtd"> %a;]>
<eCitation><uId id="CXR1"/></eCitation>"""
DTD = b"""<!DOCTYPE eCitation SYSTEM "http://127.0.0.1/x.dtd"><eCitation><uId id="CXR1"/></eCitation>"""


@pytest.mark.parametrize("xml", [BOMB, OUTSIDE, PARAMETER, DTD], ids=["bomb", "outside", "parameter", "dtd"])
def test_entities_and_doctypes_are_refused(xml: bytes) -> None:
    with pytest.raises(InputError, match=r"evil\.xml.*DOCTYPE"):
        parse_study(xml, "evil.xml")


def test_hostile_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="too many"):
        parse_study(b" " * (MAX_XML_BYTES + 1), "1.xml")
    with pytest.raises(InputError, match="nested"):
        parse_study(b"<a>" * (MAX_XML_DEPTH + 1), "1.xml")


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        (b"", "malformed"),
        (b"\x89PNG\r\n", "malformed"),
        (b'<eCitation><uId id="CXR1"/>', "malformed"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "malformed"),
        (b"<eCitation>&unknown;</eCitation>", "malformed"),
        (b"<html/>", "no <uId"),
        (b'<a><uId id=""/></a>', "no <uId"),
        (b'<a><uId id="../x"/></a>', "study id"),
        (b'<a><uId id="CXR1"/><parentImage/></a>', "image id"),
        (b'<a><uId id="CXR1"/><parentImage id="CXR1_/../../x"/></a>', "image id"),
        (b'<a><uId id="CXR1"/><parentImage id="CXR2_IM-1"/></a>', "not of study"),
        (b'<a><uId id="CXR1"/><parentImage id="CXR1_1"/><parentImage id="CXR1_1"/></a>', "twice"),
        (b'<a><uId id="CXR1"/><MeSH><major>a;b</major></MeSH></a>', "heading"),
    ],
)
def test_what_is_no_report_is_named_with_its_reason(xml: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=rf"^7\.xml: .*{re.escape(reason)}"):
        parse_study(xml, "7.xml")


def test_the_study_of_an_image_ends_at_the_first_underscore() -> None:
    assert study_of("CXR1_1_IM-0001-3001") == "CXR1"
    assert study_of("CXR2384_IM-0942") == "CXR2384"
    assert study_of("CXR7") == "CXR7"
